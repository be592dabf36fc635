"""Share links: what a stranger sees by one, that it is no more than that, and that it ends when it should."""

import asyncio
import io
from datetime import datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog

from tests.http.client import LONG, SHORT, Client, Running, token
from tests.http.conftest import StartReplica
from tests.http.wire import Answer, events, ids, logged
from tests.support.waiting import eventually
from webedt.database.sql import load_queries
from webedt.services.access import AAccess
from webedt.services.cleanup import ACleanup
from webedt.services.sharing import ASharing, Sharing
from webedt.telemetry.logging import configure_logging

SEEN = {
    "title", "status", "provider", "model", "lastEventId", "createdAt", "updatedAt", "completedAt", "expiresAt",
}  # fmt: skip
ROW_WAITS = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event IN ('transactionid', 'tuple')
    )
"""
ENDS_WITHIN_SECONDS = 4.0


async def share(user: Client, session_id: str, **body: Any) -> str:
    """The token of a session's link."""
    answer = await user.post(f"/api/sessions/{session_id}/share", body)
    assert answer.status == 200, answer.body
    found: str = answer.json()["shareToken"]
    return found


def follow(share_token: str) -> str:
    return f"/api/shared/{share_token}/events/stream"


async def refused(app: Running, share_token: str) -> set[tuple[int, str]]:
    """How look and stream are answered, also to an EventSource."""
    answers = [
        await app.nobody.get(f"/api/shared/{share_token}"),
        await app.nobody.get(follow(share_token)),
        await app.nobody.get(follow(share_token), Accept="text/event-stream"),
    ]
    return {(answer.status, answer.code) for answer in answers}


NOT_FOUND, GONE = {(404, "not_found")}, {(410, "gone")}


# What a link shows ----------------------------------------------------------------------------------------------------


async def test_whoever_has_the_link_sees_the_session_and_nothing_of_its_owners_affairs(
    app: Running, user: Client
) -> None:
    session_id = await user.finish(github={"repoUrl": "https://example.com/secret/repository"})
    link = await share(user, session_id, expiresInDays=3)
    answer = await app.nobody.get(f"/api/shared/{link}")
    shown = answer.json()["session"]
    own = (await user.get(f"/api/sessions/{session_id}")).json()["session"]
    assert answer.json().keys() == {"session"}
    assert shown.keys() == SEEN
    assert {name: own[name] for name in SEEN - {"expiresAt"}} == {name: shown[name] for name in SEEN - {"expiresAt"}}
    assert session_id.encode() not in answer.body
    assert b"repository" not in answer.body


async def test_nobody_may_keep_pass_on_or_list_a_shared_session(app: Running, user: Client) -> None:
    link = await share(user, await user.finish())
    looked = await app.nobody.get(f"/api/shared/{link}")
    page = await app.nobody.get(f"/shared/{link}")
    async with app.nobody.stream(follow(link)) as stream:
        pass
    for head in (looked.head, page.head, stream.head):
        assert head["Referrer-Policy"] == "no-referrer"
        assert "noindex" in head["X-Robots-Tag"]
        assert head["Cache-Control"] == ("no-cache, no-transform" if head is stream.head else "no-store")
    assert "X-Session-ID" not in stream.head


@pytest.mark.parametrize(
    ("query", "headers"),
    [("", {}), ("?lastEventId=3", {}), ("", {"Last_Event_ID": "5"}), ("?deltas=0", {}), ("?lastEventId=99", {})],
)
async def test_the_stream_of_a_link_is_that_of_its_owner(
    app: Running, user: Client, query: str, headers: dict[str, str]
) -> None:
    session_id = await user.finish("[[tokens=12 rate=0 seed=1]]")
    link = await share(user, session_id)

    async def read(client: Client, path: str) -> bytes:
        async with client.stream(path + query, **headers) as stream:
            await stream.until("caught_up")
            return stream.raw.partition(b"\n\n")[2]  # the time to come back differs

    shared = await read(app.nobody, follow(link))
    assert shared == await read(user, f"/api/sessions/{session_id}/events/stream")
    assert shared.count(b"event: caught_up\n") == 1
    assert shared.count(b"event: reset\n") == ("99" in query)


async def test_the_stream_of_a_link_goes_on_live_and_over_later_runs(app: Running, user: Client) -> None:
    session_id = await user.finish()
    link = await share(user, session_id)
    async with app.nobody.stream(follow(link), Last_Event_ID="8") as stream:
        assert (await stream.until("caught_up"))[-1].data == {"lastEventId": 8, "status": "completed"}
        assert app.open_streams("shared") == 1
        for _ in range(2):
            await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})
            await stream.until("completed")
        assert ids(logged(stream.seen)) == list(range(9, 25))


async def test_a_link_shows_its_page_without_a_login(app: Running) -> None:
    page = await app.nobody.get("/")
    shared = await app.nobody.get("/shared/whatever-it-is")
    assert (shared.status, shared.body) == (200, page.body)
    for name in ("Content-Type", "Content-Security-Policy", "ETag"):
        assert shared.head[name] == page.head[name]
    assert b'="./' not in shared.body, "assets are found from every path"
    assert (await app.nobody.get("/shared/")).status == 404


# What a link does not give --------------------------------------------------------------------------------------------


async def test_a_link_reads_and_does_nothing_else(app: Running, user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    link = await share(user, session_id)
    for path in (f"/api/shared/{link}", follow(link)):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await app.nobody.ask(method, path, {"title": "mine"})
            assert (answer.status, answer.code) == (405, "method_not_allowed")
    for path in (f"/api/sessions/{link}", f"/api/resume/{link}", f"/api/sessions/{session_id}"):
        assert (await app.nobody.get(path)).status == 401
        assert (await app.bearer(link).get(path)).status == 401
    assert (await app.nobody.post(f"/api/shared/{link}/send", {"message": "x"})).status == 404
    assert (await user.get(f"/api/sessions/{session_id}")).json()["session"]["status"] == "running"


async def test_a_token_that_is_not_ours_is_not_found_and_not_looked_up(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await share(user, await user.finish())
    other = await share(user, await user.finish())
    sharing = app.service(ASharing)
    assert (await app.nobody.get(f"/api/shared/{link}")).status == 200

    async def fail(*_args: object) -> None:
        raise AssertionError("asked the database")

    monkeypatch.setattr(sharing._database, "fetchrow", fail)
    bad = ["x", "%00", "%ff", "..%2f..", str(uuid4()), link[:-1], link + "A", link + "%0A", "%20" + link, "_" * 64,
           link[:22] + other[22:], other[:20] + link[20:], "%D9%A3" * 64]  # fmt: skip
    for place in (0, 21, 22, 40, 63):
        bad.append(link[:place] + ("A" if link[place] != "A" else "B") + link[place + 1 :])
    for one in bad:
        assert await refused(app, one) == NOT_FOUND, one


def test_a_token_is_good_under_its_own_secret_and_where_that_is_one_of_several() -> None:
    before, after, link_id = Sharing(["a" * 32]), Sharing(["b" * 32]), uuid4()
    made = before._token(link_id)
    assert before._link_id(made) == link_id == Sharing(["a" * 32])._link_id(made)
    assert after._link_id(made) is None
    both = Sharing(["b" * 32, "a" * 32])
    assert both._link_id(made) == both._link_id(after._token(link_id)) == link_id
    assert both._token(link_id) == after._token(link_id), "shown under the first"
    assert len({before._token(uuid4()) for _ in range(100)}) == 100


async def test_strangers_streams_use_up_the_links_share_and_not_the_owners(start: StartReplica) -> None:
    async with start(max_streams_per_user=2) as app:
        user = await app.register()
        session_id = await user.finish()
        link, other = await share(user, session_id), await share(user, await user.finish())
        async with app.nobody.stream(follow(link)) as one, user.stream(follow(link)) as two:
            await one.until("caught_up")
            await two.until("caught_up")
            answer = await app.nobody.get(follow(link))
            assert (answer.status, answer.code) == (429, "rate_limited")
            async with app.nobody.stream(follow(link), Accept="text/event-stream") as stream:
                assert [frame.retry is not None for frame in await stream.rest()] == [True]
            own = f"/api/sessions/{session_id}/events/stream"
            async with user.stream(own) as first, user.stream(own) as second, app.nobody.stream(follow(other)) as third:
                for stream in (first, second, third):
                    await stream.until("caught_up")


# Making a link --------------------------------------------------------------------------------------------------------


async def test_sharing_again_is_the_same_link_with_the_expiry_that_is_asked_for(
    app: Running, user: Client, database: Any
) -> None:
    session_id = await user.finish()
    path = f"/api/sessions/{session_id}/share"
    first = (await user.post(path)).json()
    assert first["expiresAt"] is None
    async with app.nobody.stream(follow(first["shareToken"])) as stream:
        await stream.until("caught_up")
        for days in (1, 365.0, None):
            again = (await user.post(path, {"expiresInDays": days})).json()
            assert (again["shareToken"], again["url"]) == (first["shareToken"], first["url"])
            shown = (await app.nobody.get(f"/api/shared/{first['shareToken']}")).json()["session"]["expiresAt"]
            assert shown == again["expiresAt"]
            if days is None:
                assert shown is None
            else:
                left = datetime.fromisoformat(shown) - await database.fetchval("SELECT now()")
                assert -10 < left.total_seconds() - days * 86400 <= 0
        await user.post(f"/api/sessions/{session_id}/send", {"message": SHORT})
        await stream.until("completed")


async def test_devices_that_share_at_once_show_the_same_link(user: Client, database: Any) -> None:
    session_id = await user.finish()
    assert len(set(await asyncio.gather(*(share(user, session_id, expiresInDays=n) for n in range(1, 9))))) == 1
    assert await database.fetchval("SELECT count(*) FROM shares WHERE chat_session_id = $1", UUID(session_id)) == 1


@pytest.mark.parametrize("days", [b"0", b"-1", b"366", b"1.5", b'"7"', b"true", b"[]", b"1e9"])
async def test_an_expiry_that_cannot_be_is_refused(user: Client, days: bytes) -> None:
    answer = await user.post(f"/api/sessions/{uuid4()}/share", b'{"expiresInDays":' + days + b"}")
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [one["path"] for one in answer.json()["errors"]] == ["$.expiresInDays"]


async def test_a_field_that_nobody_knows_is_refused(user: Client) -> None:
    for body in ({"expires": 1}, {"expiresInDays": 1, "public": True}, [], 1):
        answer = await user.post(f"/api/sessions/{await user.finish()}/share", body)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert answer.json()["errors"]


async def test_only_the_owner_shares_and_takes_back(app: Running, user: Client, stranger: Client) -> None:
    session_id = await user.finish()
    link = await share(user, session_id)
    by_cookie = app.nobody.with_headers(Cookie=f"webedt_session={token(user)}")
    path = f"/api/sessions/{session_id}/share"
    for client, status in ((app.nobody, 401), (stranger, 404), (by_cookie, 403), (app.bearer(link), 401)):
        assert (await client.post(path, {"expiresInDays": 1})).status == status
        assert (await client.delete(path)).status == status
    shown = await app.nobody.get(f"/api/shared/{link}")
    assert (shown.status, shown.json()["session"]["expiresAt"]) == (200, None)


# The URL --------------------------------------------------------------------------------------------------------------


async def url_of(client: Client, session_id: str, **headers: str) -> str:
    answer = await client.post(f"/api/sessions/{session_id}/share", **headers)
    assert answer.status == 200, answer.body
    url, _, path = answer.json()["url"].partition("/shared/")
    assert path == answer.json()["shareToken"]
    return str(url)


async def test_the_url_names_this_server_as_the_caller_sees_it(app: Running, user: Client) -> None:
    session_id = await user.finish()
    named = {"Host": "webedt.example.com"}
    assert await url_of(user, session_id) == app.origin
    assert await url_of(user, session_id, **named) == "http://webedt.example.com"
    assert await url_of(user, session_id, **named, Origin="https://webedt.example.com") == "https://webedt.example.com"
    assert await url_of(user, session_id, **named, Origin="https://evil.example.com") == "http://webedt.example.com"
    assert await url_of(user, session_id, Host="[::1]:3001") == "http://[::1]:3001"
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "evil.example.com"}
    assert await url_of(user, session_id, **forwarded) == app.origin, "that proxy is not trusted"


async def test_a_trusted_proxy_says_by_which_url_it_was_asked(start: StartReplica) -> None:
    async with start(trusted_proxies=(ip_network("127.0.0.0/8"),)) as app:
        user = await app.register()
        session_id = await user.finish()
        for forwarded, url in (
            ({"X_Forwarded_Proto": "https", "X_Forwarded_Host": "a.example.com"}, "https://a.example.com"),
            ({"X_Forwarded_Proto": "HTTPS, http", "X_Forwarded_Host": "a.example.com:8443, b"}, "https://a.example.com:8443"),
            ({"X_Forwarded_Proto": "https", "Host": "b.example.com"}, "https://b.example.com"),
            ({"X_Forwarded_Proto": "javascript", "Host": "b.example.com"}, "http://b.example.com"),
        ):  # fmt: skip
            assert await url_of(user, session_id, **forwarded) == url


@pytest.mark.parametrize("host", ["", "a b", "a/b", "<a>", "a@b", "a:b", "a?b"])
async def test_a_host_that_is_none_makes_no_link(user: Client, database: Any, host: str) -> None:
    session_id = await user.finish()
    answer = await user.post(f"/api/sessions/{session_id}/share", Host=host)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [one["path"] for one in answer.json()["errors"]] == ["Host"]
    assert await database.fetchval("SELECT count(*) FROM shares WHERE chat_session_id = $1", UUID(session_id)) == 0


# Its end --------------------------------------------------------------------------------------------------------------


async def test_a_link_that_is_taken_back_ends_its_streams_and_is_gone_for_good(app: Running, user: Client) -> None:
    session_id = (await user.start(LONG))["sessionId"]
    link = await share(user, session_id)
    async with app.nobody.stream(follow(link)) as stream, user.stream(f"/api/resume/{session_id}") as own:
        await stream.until("text_delta")
        for _ in range(2):  # the answer to the first may have been lost
            assert (await user.delete(f"/api/sessions/{session_id}/share")).status == 204
        assert await refused(app, link) == NOT_FOUND
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            assert "draining" not in events(await stream.rest())
        await own.until("caught_up")
        await own.until("text_delta")
        renewed = await share(user, session_id)
        assert renewed != link
        assert await refused(app, link) == NOT_FOUND
        assert (await app.nobody.get(f"/api/shared/{renewed}")).status == 200


async def test_taking_a_link_back_is_signalled_and_waits_for_no_sweep(
    start: StartReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webedt.http.stream_registry.ACCESS_SWEEP_SECONDS", 60)
    async with start() as app:
        user = await app.register()
        session_id = await user.finish()
        async with app.nobody.stream(follow(await share(user, session_id))) as stream:
            await stream.until("caught_up")
            await user.delete(f"/api/sessions/{session_id}/share")
            await stream.rest()


async def test_streams_end_within_seconds_though_nobody_says_that_their_link_did(
    app: Running, user: Client, database: Any
) -> None:
    """The sweep finds by itself what was revoked, what has expired by the database's clock, and what was deleted."""
    session_ids = [UUID(await user.finish()) for _ in range(4)]
    links = [await share(user, str(one), expiresInDays=1) for one in session_ids[:3]]
    links.append(await share(user, str(session_ids[3])))
    async with (
        app.nobody.stream(follow(links[0])) as revoked,
        app.nobody.stream(follow(links[1])) as expired,
        app.nobody.stream(follow(links[2])) as deleted,
        app.nobody.stream(follow(links[3])) as holds,
    ):
        for stream in (revoked, expired, deleted, holds):
            await stream.until("caught_up")
        await database.execute("DELETE FROM shares WHERE chat_session_id = $1", session_ids[0])
        await database.execute("UPDATE shares SET expires_at = now() WHERE chat_session_id = $1", session_ids[1])
        await database.execute("UPDATE chat_sessions SET deleted_at = now() WHERE id = $1", session_ids[2])
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            for stream in (revoked, expired, deleted):
                assert "draining" not in events(await stream.rest())
        await user.post(f"/api/sessions/{session_ids[3]}/send", {"message": SHORT})
        await holds.until("completed")
    assert [await refused(app, link) for link in links[:3]] == [NOT_FOUND, GONE, NOT_FOUND]


async def test_a_link_holds_no_longer_than_its_session(app: Running, user: Client, database: Any) -> None:
    """Also for a reader whose tail did not hear of the deletion."""
    session_ids = [UUID(await user.finish()) for _ in range(3)]
    for session_id in session_ids:
        await share(user, str(session_id), **({"expiresInDays": 1} if session_id == session_ids[1] else {}))
    await database.execute("UPDATE chat_sessions SET deleted_at = now() WHERE id = $1", session_ids[2])
    rows = await database.fetch("SELECT chat_session_id, id FROM shares WHERE chat_session_id = ANY ($1)", session_ids)
    link_ids = {row["chat_session_id"]: row["id"] for row in rows}
    held = await app.service(AAccess).still_valid([*link_ids.values(), uuid4(), *session_ids])
    assert held == {link_ids[one] for one in session_ids[:2]}


async def test_a_stream_that_opens_while_its_link_is_taken_back_ends_too(
    start: StartReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal finds no stream yet; a later look does."""
    monkeypatch.setattr("webedt.http.stream_registry.ACCESS_SWEEP_SECONDS", 0.2)
    visited, go_on = asyncio.Event(), asyncio.Event()
    async with start() as app:
        user = await app.register()
        session_id = await user.finish()
        link = await share(user, session_id)
        visit = app.service(ASharing).visit

        async def slowly(share_token: str) -> Any:
            found = await visit(share_token)
            visited.set()
            await go_on.wait()
            return found

        monkeypatch.setattr(app.service(ASharing), "visit", slowly)

        async def read() -> list[Any]:
            async with app.nobody.stream(follow(link)) as stream:
                return await stream.rest()

        reading = asyncio.create_task(read())
        await visited.wait()
        assert (await user.delete(f"/api/sessions/{session_id}/share")).status == 204
        go_on.set()
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            await reading


async def test_an_expired_link_says_so_and_is_not_brought_back_to_life(
    app: Running, user: Client, database: Any
) -> None:
    session_id = await user.finish()
    link = await share(user, session_id, expiresInDays=1)
    age = "UPDATE shares SET expires_at = now() - $2::interval WHERE chat_session_id = $1"
    await database.execute(age, UUID(session_id), datetime.resolution)
    assert await refused(app, link) == GONE
    renewed = await share(user, session_id)
    assert renewed != link
    assert await refused(app, link) == NOT_FOUND
    assert (await app.nobody.get(f"/api/shared/{renewed}")).status == 200


async def test_an_expired_link_is_thrown_away_after_a_month(app: Running, user: Client, database: Any) -> None:
    links = {}
    for days in ("29 days", "31 days", None):
        session_id = await user.finish()
        links[days] = await share(user, session_id, expiresInDays=1)
        query = "UPDATE shares SET expires_at = now() - $2::text::interval WHERE chat_session_id = $1"
        await database.execute(query, UUID(session_id), days)
    await app.service(ACleanup)._purge(0)
    assert await refused(app, links["29 days"]) == GONE
    assert await refused(app, links["31 days"]) == NOT_FOUND
    assert (await app.nobody.get(f"/api/shared/{links[None]}")).status == 200


async def test_a_deleted_session_takes_its_link_along_and_does_not_bring_it_back(app: Running, user: Client) -> None:
    session_id = await user.finish()
    link = await share(user, session_id)
    async with app.nobody.stream(follow(link)) as stream:
        await stream.until("caught_up")
        assert (await user.delete(f"/api/sessions/{session_id}")).status == 204
        assert await refused(app, link) == NOT_FOUND
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            assert "draining" not in events(await stream.rest())
    for answer in (
        await user.post(f"/api/sessions/{session_id}/share"),
        await user.delete(f"/api/sessions/{session_id}/share"),
    ):
        assert (answer.status, answer.code) == (404, "not_found")
    assert (await user.post(f"/api/sessions/{session_id}/restore")).status == 200
    assert await refused(app, link) == NOT_FOUND
    assert await share(user, session_id) != link


async def test_a_session_deleted_by_a_version_without_links_does_not_bring_its_link_back(
    app: Running, user: Client, database: Any
) -> None:
    session_id = await user.finish()
    link = await share(user, session_id)
    await database.execute("UPDATE chat_sessions SET deleted_at = now() WHERE id = $1", UUID(session_id))
    assert await refused(app, link) == NOT_FOUND
    assert (await user.post(f"/api/sessions/{session_id}/restore")).status == 200
    assert await refused(app, link) == NOT_FOUND


async def test_a_link_made_in_the_moment_of_the_deletion_goes_with_it(
    user: Client, database: Any, shared_url: str
) -> None:
    session_id = await user.finish()
    owner = await database.fetchval("SELECT user_id FROM chat_sessions WHERE id = $1", UUID(session_id))
    sharing = await asyncpg.connect(shared_url)
    async with sharing.transaction():
        await sharing.fetchrow(load_queries("sharing")["share_session"], UUID(session_id), owner, uuid4(), None)
        deleting = asyncio.create_task(user.delete(f"/api/sessions/{session_id}"))
        await eventually(lambda: database.fetchval(ROW_WAITS), "the deletion waits for the session's row")
    await sharing.close()
    assert (await deleting).status == 204
    assert await database.fetchval("SELECT count(*) FROM shares WHERE chat_session_id = $1", UUID(session_id)) == 0


async def test_a_session_that_is_being_deleted_gets_no_link(user: Client, database: Any, shared_url: str) -> None:
    session_id = await user.finish()
    deleting = await asyncpg.connect(shared_url)
    async with deleting.transaction():
        await deleting.execute("UPDATE chat_sessions SET deleted_at = now() WHERE id = $1", UUID(session_id))
        sharing = asyncio.create_task(user.post(f"/api/sessions/{session_id}/share"))
        await eventually(lambda: database.fetchval(ROW_WAITS), "sharing waits for the session's row")
    await deleting.close()
    answer: Answer = await sharing
    assert (answer.status, answer.code) == (404, "not_found")
    assert await database.fetchval("SELECT count(*) FROM shares WHERE chat_session_id = $1", UUID(session_id)) == 0


# What must not hold it ------------------------------------------------------------------------------------------------


async def test_a_token_is_in_no_log_line_and_no_metric(
    app: Running, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await user.finish()
    link = await share(user, session_id)
    lines = io.StringIO()
    monkeypatch.setattr("sys.stderr", lines)
    configure_logging("debug", "here", json=True)
    try:
        assert await share(user, session_id) == link
        assert (await app.nobody.get(f"/shared/{link}")).status == 200
        assert (await app.nobody.get(f"/api/shared/{link}")).status == 200
        async with app.nobody.stream(follow(link)) as stream:
            await stream.until("caught_up")
        for path in (f"/api/shared/{link}/nothing", f"/api/shared/{link}x", f"/shared/{link}/x"):
            assert (await app.nobody.get(path)).status == 404
        assert (await app.nobody.post(f"/api/shared/{link}")).status == 405
        assert (await app.nobody.get(f"/api/shared/{link}\u00e9")).status == 400, "what is not HTTP"
        with monkeypatch.context() as broken:
            broken.setattr(app.service(ASharing), "_sql", {})
            assert (await app.nobody.get(f"/api/shared/{link}")).status == 500
        metrics = (await app.nobody.get("/metrics")).body.decode()
    finally:
        structlog.reset_defaults()
    written = lines.getvalue()
    for word in ("/api/shared/{token}/events/stream", "request_failed", "request_unreadable"):
        assert word in written
    assert 'route="/api/shared/{token}"' in metrics
    assert link not in written
    assert link not in metrics
