"""Sessions by the beginning of their id, as git knows commits."""

import re

from webedt.cli.errors import REFUSED, CommandError
from webedt.client import WebEDTClient

FULL_LENGTH = 36
SHORT_LENGTH = 8
_BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{3,34}")
PAGE_SIZE = 100
MOST_PAGES = 20
HELP = "a session, as `webedt sessions` lists them; the beginning of its id is enough"


async def full_id(client: WebEDTClient, given: str) -> str:
    """The one session of the caller's whose id begins so. What does not look like a beginning is returned as it is.

    All sessions are looked at: a beginning that is unique among the newest only could mean another one. Raises
    CommandError if none or several begin so.
    """
    beginning = given.strip().lower()
    if not _BEGINNING.fullmatch(beginning):
        return given
    found: list[str] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.sessions(limit=PAGE_SIZE, cursor=cursor)
        found += [str(session.get("id")) for session in page.sessions if str(session.get("id")).startswith(beginning)]
        cursor = page.next_cursor
        if cursor is None or len(found) > 1:
            break
    else:
        raise CommandError(f"there are too many sessions to look for {given}: give the whole id", exit_status=REFUSED)
    if len(found) > 1:
        raise CommandError(f"several sessions begin with {given}: give more of the id", exit_status=REFUSED)
    if not found:
        advice = "`webedt sessions` lists what is yours"
        raise CommandError(f"no session begins with {given}. {advice}.", exit_status=REFUSED)
    return found[0]
