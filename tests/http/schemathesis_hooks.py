"""What the configuration of Schemathesis cannot say. Runs in its process."""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

import schemathesis

from webedt.config import PROVIDERS

ENDS_LOGINS = r"^/api/auth/(logout|logout-all|sessions/\{id\})$"


@schemathesis.hook("before_call").apply_to(path="/api/execute-remote")
def name_a_provider_that_is_configured(_context: Any, case: Any, _kwargs: Any) -> None:
    """The document knows the names of all; this replica has but the simulated one."""
    if isinstance(case.body, dict) and case.body.get("provider") in PROVIDERS:
        case.body["provider"] = "simulated"


@schemathesis.hook("before_call").apply_to(path="/api/user/preferences")
def prefer_a_provider_that_is_configured(_context: Any, case: Any, _kwargs: Any) -> None:
    """Prompts go by it. A model needs one to go with, which no schema of a change alone can say."""
    if isinstance(case.body, dict) and (
        case.body.get("defaultProvider") in PROVIDERS
        or (isinstance(case.body.get("defaultModel"), str) and case.body.get("defaultProvider") is None)
    ):
        case.body["defaultProvider"] = "simulated"


@schemathesis.hook("before_call").apply_to(path_regex=ENDS_LOGINS)
def log_out_somebody_else(_context: Any, case: Any, _kwargs: Any) -> None:
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
