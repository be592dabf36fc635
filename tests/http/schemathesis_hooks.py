"""What the configuration of Schemathesis cannot say: who asks for a logout. Runs in its process."""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

import schemathesis

ENDS_LOGINS = r"^/api/auth/(logout|logout-all|sessions/\{id\})$"


@schemathesis.hook.apply_to(path_regex=ENDS_LOGINS)
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """The login of the configuration must outlive them all: another user's stands in for it, a new one each time.

    So does its id for the id that is known.
    """
    if case.headers.get("Authorization") == f"Bearer {os.environ['TOKEN']}":
        token, login_id = log_in()
        case.headers["Authorization"] = f"Bearer {token}"
        if case.path_parameters.get("id") == os.environ["SESSION"]:
            case.path_parameters["id"] = login_id


def log_in() -> tuple[str, str]:
    """The token and the id of a new login."""
    request = Request(  # noqa: S310 - http, on this machine
        f"{os.environ['ORIGIN']}/api/auth/login",
        json.dumps({"email": os.environ["LEAVER"], "password": os.environ["PASSWORD"]}).encode(),
    )
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        cookie: str = answer.headers["Set-Cookie"]
        login_id: str = json.load(answer)["session"]["id"]
    return cookie.partition(";")[0].partition("=")[2], login_id
