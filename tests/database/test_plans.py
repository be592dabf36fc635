"""How PostgreSQL carries out the hot queries, on tables with some thousands of rows.

Judged by the generic plan: it is the one that prepared statements end up with, and it cannot see the arguments.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from webedt.database.sql import load_queries

FILL = """
INSERT INTO users (id, email, password_hash)
SELECT md5('u' || n)::uuid, 'u' || n || '@example.com', 'x' FROM generate_series(1, 500) n;

INSERT INTO credentials (user_id, provider, key_id, sealed)
SELECT md5('u' || n)::uuid, p, '\\x00', '\\x00' FROM generate_series(1, 500) n, unnest('{a,b,c}'::text[]) p;

INSERT INTO sessions (id, token_hash, user_id, expires_at)
SELECT md5('l' || n)::uuid, sha256(('t' || n)::bytea), md5('u' || n % 500 + 1)::uuid, now() + interval '30 days'
FROM generate_series(1, 3000) n;

INSERT INTO chat_sessions (id, user_id, title, status, provider, created_at, updated_at, deleted_at)
SELECT md5('s' || n)::uuid, md5('u' || n % 50 + 1)::uuid, 'Session ' || n, 'completed', 'simulated',
       now() - make_interval(mins => n), now() - make_interval(mins => n), CASE WHEN n % 100 = 3 THEN now() END
FROM generate_series(1, 3000) n;

INSERT INTO session_heads (chat_session_id, last_seq, fence, ordinal) SELECT id, 4, 1, 3 FROM chat_sessions;

INSERT INTO shares (chat_session_id, id, expires_at)
SELECT id, id, CASE WHEN get_byte(uuid_send(id), 0) < 100 THEN now() + interval '1 day' END FROM chat_sessions;

INSERT INTO instances (id, container_id) SELECT md5('i' || n)::uuid, 'i' || n FROM generate_series(0, 5) n;

INSERT INTO runs (chat_session_id, id, prompt_seq, provider, status, owner, end_seq, ended_at, compacted_at)
SELECT md5('s' || n)::uuid, md5('r' || n)::uuid, 1, 'simulated', status, md5('i' || n % 6)::uuid, 4,
       CASE WHEN status = 'completed' THEN now() END, CASE WHEN status = 'completed' AND n % 100 <> 9 THEN now() END
FROM generate_series(1, 3000) n,
     LATERAL (
         SELECT CASE WHEN n % 500 = 0 THEN 'queued' WHEN n % 300 = 7 THEN 'running' ELSE 'completed' END AS status
     ) AS s;

INSERT INTO events (chat_session_id, seq, run_id, type, data)
SELECT md5('s' || s)::uuid, n, md5('r' || s)::uuid, 'text_delta', '{"text":"word"}'
FROM generate_series(1, 3000) s, generate_series(1, CASE WHEN s = 1 THEN 4000 ELSE 4 END) n;

ANALYZE;
"""

SORTS = ("Sort", "Incremental Sort")


@pytest.fixture
async def filled(database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    await connection.execute(FILL)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    yield connection
    await connection.close()


async def plan_of(connection: Any, file: str, name: str) -> list[dict[str, Any]]:
    """The nodes of the query's generic plan, outermost first."""
    query = load_queries(file)[name]
    parameters = len((await connection.prepare(query)).get_parameters())
    await connection.execute(f"PREPARE asked AS {query}")
    nothing = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
    answer = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{nothing}")
    await connection.execute("DEALLOCATE asked")
    return list(nodes(json.loads(answer)[0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scans_of(plan: list[dict[str, Any]], relation: str) -> list[dict[str, Any]]:
    """The nodes that read rows of `relation` itself."""
    return [node for node in plan if node.get("Relation Name") == relation and "Scan" in node["Node Type"]]


def indexes_of(plan: list[dict[str, Any]], relation: str) -> set[str]:
    """The indexes through which `relation` is read; `sequential` stands for none."""
    found = set()
    for scan in scans_of(plan, relation):
        if scan["Node Type"] == "Bitmap Heap Scan":
            found |= {node["Index Name"] for node in nodes(scan) if "Index Name" in node}
        else:
            found.add(scan.get("Index Name", "sequential"))
    return found


async def test_an_append_finds_every_row_by_its_key(filled: Any) -> None:
    plan = await plan_of(filled, "events", "append_batch")
    assert indexes_of(plan, "session_heads") == {"session_heads_pkey"}
    assert indexes_of(plan, "runs") == {"runs_pkey"}
    assert indexes_of(plan, "chat_sessions") == {"chat_sessions_pkey"}
    assert scans_of(plan, "events") == []


async def test_an_append_locks_the_heads_in_the_order_of_their_ids(filled: Any) -> None:
    plan = await plan_of(filled, "events", "append_batch")
    (locking,) = (node for node in plan if node["Node Type"] == "LockRows")
    below = next(node for node in nodes(locking) if node is not locking)
    assert below["Node Type"] in (*SORTS, "Index Scan")
    if below["Node Type"] in SORTS:
        assert below["Sort Key"] == ["h.chat_session_id"]


@pytest.mark.parametrize("name", ["read_page", "read_tail", "read_json_page"])
async def test_a_page_is_read_along_the_primary_key_and_never_sorted(filled: Any, name: str) -> None:
    plan = await plan_of(filled, "events", name)
    (scan,) = scans_of(plan, "events")
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "events_pkey")
    assert "seq > $2" in scan["Index Cond"]
    assert [node["Node Type"] for node in plan if node["Node Type"] in SORTS] == []


async def test_a_page_reads_no_more_rows_than_it_may_have(filled: Any) -> None:
    first_session = await filled.fetchval("SELECT md5('s1')::uuid")
    query = load_queries("events")["read_page"]
    answer = await filled.fetchval(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", first_session, 1000, 4000, 100, 1 << 20, True
    )
    (scan,) = scans_of(list(nodes(json.loads(answer)[0]["Plan"])), "events")
    assert scan["Actual Rows"] <= 101


async def test_the_sweep_of_all_tails_goes_by_the_heads_keys(filled: Any) -> None:
    plan = await plan_of(filled, "events", "compare_positions")
    assert indexes_of(plan, "session_heads") == {"session_heads_pkey"}
    assert indexes_of(plan, "chat_sessions") == {"chat_sessions_pkey"}


async def test_abandoned_runs_are_found_among_the_running_ones_only(filled: Any) -> None:
    plan = await plan_of(filled, "runs", "find_abandoned")
    assert indexes_of(plan, "runs") <= {"runs_by_owner", "runs_one_running"}


async def test_claimable_runs_are_found_among_the_queued_ones_only(filled: Any) -> None:
    plan = await plan_of(filled, "runs", "find_claimable")
    assert indexes_of(plan, "runs") == {"runs_queue"}
    assert indexes_of(plan, "session_heads") == {"session_heads_pkey"}


@pytest.mark.parametrize("name", ["list_owned", "list_interrupts"])
async def test_a_replica_finds_its_own_runs_by_their_owner(filled: Any, name: str) -> None:
    plan = await plan_of(filled, "runs", name)
    assert indexes_of(plan, "runs") == {"runs_by_owner"}


async def test_a_page_of_the_list_is_read_along_its_index_and_never_sorted(filled: Any) -> None:
    plan = await plan_of(filled, "sessions", "list_sessions")
    assert indexes_of(plan, "chat_sessions") == {"chat_sessions_by_user"}
    assert indexes_of(plan, "session_heads") == {"session_heads_pkey"}
    assert [node["Node Type"] for node in plan if node["Node Type"] in SORTS] == []


async def test_what_changed_in_a_list_is_read_along_its_index(filled: Any) -> None:
    plan = await plan_of(filled, "sessions", "list_changed_sessions")
    assert indexes_of(plan, "chat_sessions") == {"chat_sessions_by_change"}


async def test_a_request_is_authenticated_by_the_tokens_unique_index(filled: Any) -> None:
    plan = await plan_of(filled, "users", "authenticate")
    assert indexes_of(plan, "sessions") == {"sessions_token_hash_key"}
    assert indexes_of(plan, "users") == {"users_pkey"}


async def test_share_links_are_found_by_their_ids(filled: Any) -> None:
    plan = await plan_of(filled, "sharing", "find_shared")
    assert indexes_of(plan, "shares") == {"shares_id_key"}
    assert indexes_of(plan, "chat_sessions") == {"chat_sessions_pkey"}
    assert indexes_of(plan, "session_heads") == {"session_heads_pkey"}


async def test_what_stands_behind_all_open_streams_is_asked_by_keys(filled: Any) -> None:
    plan = await plan_of(filled, "access", "find_valid_passes")
    assert indexes_of(plan, "sessions") == {"sessions_pkey"}
    assert indexes_of(plan, "shares") == {"shares_id_key"}
    assert indexes_of(plan, "chat_sessions") == {"chat_sessions_pkey"}


async def test_a_session_is_shared_and_unshared_by_its_key(filled: Any) -> None:
    assert indexes_of(await plan_of(filled, "sharing", "share_session"), "chat_sessions") == {"chat_sessions_pkey"}
    for name in ("unshare_session", "drop_share"):
        assert indexes_of(await plan_of(filled, "sharing", name), "shares") == {"shares_pkey"}


async def test_what_a_prompt_can_choose_from_is_read_by_keys(filled: Any) -> None:
    plan = await plan_of(filled, "preferences", "read_provider_choice")
    assert indexes_of(plan, "users") == {"users_pkey"}
    assert indexes_of(plan, "credentials") == {"credentials_pkey"}


async def test_runs_to_compact_and_trash_are_found_by_indexes_of_their_own(filled: Any) -> None:
    assert indexes_of(await plan_of(filled, "retention", "find_runs_to_compact"), "runs") == {"runs_to_compact"}
    assert indexes_of(await plan_of(filled, "retention", "find_trash"), "chat_sessions") == {"chat_sessions_in_trash"}


async def test_superseded_deltas_are_found_along_the_primary_key(filled: Any) -> None:
    plan = await plan_of(filled, "retention", "delete_superseded_deltas")
    by = {scan["Node Type"]: scan.get("Index Name") for scan in scans_of(plan, "events")}
    assert "Seq Scan" not in by
    assert by["Index Scan"] == "events_pkey"
