"""A request that waits for events without a stream. It ends as streams do: on shutdown, and when its login ends."""

import asyncio
from uuid import UUID

from webedt.domain.errors import Unauthenticated
from webedt.domain.users import Principal
from webedt.http.stream_registry import AStreams
from webedt.log.tails import ATails


class LongPoll:
    """An `OpenStream` of the registry that is written to only once, at its end."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self._draining = False

    def keep_alive(self) -> None:
        pass

    def finish(self, *, draining: bool) -> None:
        self._draining = draining
        self._ended.set()

    def cut(self) -> None:
        self.finish(draining=True)

    async def wait_beyond(self, tails: ATails, session_id: UUID, cursor: int, seconds: float) -> None:
        """Return when there are events after `cursor`, when the time is over, or at shutdown: ask elsewhere then."""
        more = asyncio.create_task(tails.wait_beyond(session_id, cursor, seconds), name="poll-more")
        ended = asyncio.create_task(self._ended.wait(), name="poll-ended")
        try:
            await asyncio.wait({more, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
            ended.cancel()
        if self._ended.is_set() and not self._draining:
            raise Unauthenticated("The login has ended.")


async def wait_beyond(
    streams: AStreams, tails: ATails, who: Principal, session_id: UUID, cursor: int, seconds: float
) -> None:
    """Raises `Unauthenticated` when the login ends meanwhile."""
    poll = LongPoll()
    with streams.opened(poll, who, "poll"):
        await poll.wait_beyond(tails, session_id, cursor, seconds)
