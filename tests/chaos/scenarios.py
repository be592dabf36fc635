"""All scenarios by name."""

from collections.abc import Awaitable, Callable

from tests.chaos.clients import disconnects, half_open, slow_readers, stalled
from tests.chaos.deploys import drain, rolling
from tests.chaos.disks import disk_full
from tests.chaos.floods import stream_flood
from tests.chaos.lab import Lab, Report
from tests.chaos.leaders import leadership
from tests.chaos.notifications import notifications
from tests.chaos.outages import crowded, listener, lost_appends, postgres_restart, read_only, refused, terminate
from tests.chaos.providers import restarts
from tests.chaos.races import idempotency, interrupt_of_the_dead, interrupts, lost_commits, on_busy
from tests.chaos.redis import redis
from tests.chaos.remote import claude
from tests.chaos.storm import storm
from tests.chaos.takeover import attempts, fencing, partition, takeover, takeover_default

Scenario = Callable[[Lab], Awaitable[Report]]

SCENARIOS: dict[str, Scenario] = {
    "takeover": takeover,
    "takeover-default": takeover_default,
    "attempts": attempts,
    "fencing": fencing,
    "partition": partition,
    "drain": drain,
    "rolling": rolling,
    "postgres-restart": postgres_restart,
    "terminate": terminate,
    "refused": refused,
    "lost-appends": lost_appends,
    "read-only": read_only,
    "disk-full": disk_full,
    "crowded": crowded,
    "listener": listener,
    "notifications": notifications,
    "redis": redis,
    "slow-readers": slow_readers,
    "stream-flood": stream_flood,
    "disconnects": disconnects,
    "half-open": half_open,
    "idempotency": idempotency,
    "on-busy": on_busy,
    "interrupts": interrupts,
    "interrupt-dead": interrupt_of_the_dead,
    "lost-commits": lost_commits,
    "restarts": restarts,
    "claude": claude,
    "stalled": stalled,
    "leadership": leadership,
    "storm": storm,
}
NOT_SHORT = frozenset({"takeover-default", "stalled"})  # a lease of 10 s, a deadline of 90 s
# Where it does not matter which replica a reader is at, nor which one takes a prompt: behind a balancer nobody knows.
BALANCED = (
    "takeover",
    "takeover-default",
    "attempts",
    "drain",
    "rolling",
    "postgres-restart",
    "terminate",
    "refused",
    "read-only",
    "crowded",
    "disconnects",
    "idempotency",
    "on-busy",
    "interrupts",
    "interrupt-dead",
    "storm",
)


async def run_scenario(name: str, lab: Lab) -> Report:
    """Run it; what replicas logged that they never should is a fault too."""
    report = await SCENARIOS[name](lab)
    if lab.balanced:
        report.name += " (balanced)"
    report.faults += lab.alarms
    return report
