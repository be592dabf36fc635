"""The operations page: for admins alone, with true figures."""

from typing import Any

import pytest

from tests.http.client import CONTAINER, Client, Running, new_email
from tests.http.conftest import StartReplica
from webedt.config import Settings
from webedt.http.admin import Admins, measured
from webedt.telemetry.metrics import Metrics


async def operations(client: Client) -> Any:
    answer = await client.get("/api/operations")
    assert answer.status == 200, answer.body
    return answer.json()


async def may_see(client: Client) -> bool:
    """What `/api/user/access` says, which must be what `/api/operations` does."""
    said = (await client.get("/api/user/access")).json()
    answer = await client.get("/api/operations")
    assert answer.status == (200 if said["operations"] else 403)
    assert said["operations"] or answer.json()["code"] == "forbidden"
    return bool(said["operations"])


async def test_it_shows_the_status_and_what_this_replica_has_counted(app: Running, user: Client) -> None:
    before = (await operations(user))["metrics"]
    await user.finish("[[tokens=6 rate=0]] count me")
    found = await operations(user)
    after = found["metrics"]
    status = (await app.nobody.get("/health/status")).json()
    assert found["at"].endswith("Z")
    assert found["status"].keys() == status.keys()
    assert (found["status"]["container"], found["status"]["status"]) == (CONTAINER, "healthy")
    assert after["runsEnded"]["completed"] == before["runsEnded"]["completed"] + 1
    assert after["eventsCommitted"] >= before["eventsCommitted"] + 6
    assert after["eventsSent"] >= before["eventsSent"] + 6
    assert after["streams"].keys() >= {"follow", "resume", "updates"}
    commits = after["commitSeconds"]
    assert commits["count"] > before["commitSeconds"]["count"]
    assert commits["sum"] > before["commitSeconds"]["sum"]
    counts = [bucket["count"] for bucket in commits["buckets"]]
    assert counts == sorted(counts)
    assert counts[-1] <= commits["count"]


async def test_only_the_named_are_admins_and_case_does_not_matter(start: StartReplica) -> None:
    email = new_email()
    settings = Settings(admin_emails=(email,))
    async with start(admin_emails=settings.admin_emails) as app:
        admin, other = await app.register(email.upper()), await app.register()
        assert await may_see(admin)
        assert not await may_see(other)


@pytest.mark.parametrize(
    ("environment", "admin_emails", "everybody"),
    [("development", (), True), ("test", (), True), ("production", (), False), ("development", ("a@b",), False)],
)
def test_nobody_is_an_admin_of_a_production_that_names_none(
    environment: str, admin_emails: tuple[str, ...], everybody: bool
) -> None:
    assert Admins.of(Settings(environment=environment, admin_emails=admin_emails)).everybody is everybody


async def test_who_is_not_logged_in_is_told_nothing(app: Running) -> None:
    for path in ("/api/operations", "/api/user/access"):
        assert (await app.nobody.get(path)).status == 401


def test_figures_are_summed_over_labels_and_the_last_bucket_is_left_to_the_count() -> None:
    metrics = Metrics("one")
    metrics.runs_total.inc(2, "claude", "failed")
    metrics.runs_total.inc(3, "openai", "failed")
    metrics.streams.set(4, "follow")
    for seconds, origin in ((0.004, "local"), (0.004, "remote"), (100.0, "remote")):
        metrics.delivery_seconds.observe(seconds, origin)
    observed: list[int] = []
    metrics.observe(lambda: observed.append(1))
    found = measured(metrics)
    assert observed == [1]
    assert found.runs_ended == {"failed": 5}
    assert found.streams == {"follow": 4}
    delivery = found.delivery_seconds
    assert (delivery.count, round(delivery.sum, 3)) == (3, 100.008)
    assert [(bucket.le, bucket.count) for bucket in delivery.buckets][:4] == [
        (0.0005, 0), (0.001, 0), (0.0025, 0), (0.005, 2),
    ]  # fmt: skip
    assert delivery.buckets[-1].le == 10.0
    assert delivery.buckets[-1].count == 2
