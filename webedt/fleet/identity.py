"""Who this process is."""

from typing import NamedTuple
from uuid import UUID


class Identity(NamedTuple):
    """`instance_id` is new with every start: a pod that restarts under its old name is another owner."""

    instance_id: UUID
    container_id: str
