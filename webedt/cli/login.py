"""`webedt login`: exchange a password for a token and keep the token."""

import argparse
import asyncio
import os
import sys
from urllib.parse import urlsplit

from webedt.cli.connecting import explained, server_url, stored_logins
from webedt.cli.errors import NOT_LOGGED_IN, REFUSED, CommandError
from webedt.cli.secrets_input import read_secret
from webedt.client import Conflict, Login, Unauthenticated, WebEDTClient

LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `login`."""
    parser.add_argument("email", metavar="EMAIL")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--register", action="store_true", help="create the account first")


def run(args: argparse.Namespace) -> int:
    """Log in and store the token for `WEBEDT_URL`. Raises CommandError."""
    url = server_url()
    logins = stored_logins()
    logins.token_for(url)  # A damaged file is better found before the password is asked for.
    if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOCAL_HOSTS:
        print(f"webedt: warning: {url} is not encrypted, others may read the password", file=sys.stderr)
    password = _read_password(from_stdin=args.password_stdin, twice=args.register)
    with explained(url):
        login = asyncio.run(_log_in(url, args.email, password, register=args.register))
    logins.save(url, token=login.token, email=login.email)
    print(f"Logged in to {url} as {login.email}.")
    if os.environ.get("WEBEDT_TOKEN"):
        print("webedt: warning: WEBEDT_TOKEN is set and is used instead of this login", file=sys.stderr)
    return 0


async def _log_in(url: str, email: str, password: str, *, register: bool) -> Login:
    async with WebEDTClient(url) as client:
        try:
            return await (client.register if register else client.login)(email, password)
        except Unauthenticated as error:
            advice = "`webedt login EMAIL --register` creates an account"
            raise CommandError(
                f"{url} knows no such email address and password; {advice}", exit_status=NOT_LOGGED_IN
            ) from error
        except Conflict as error:
            what = f"{email} is registered already: log in without --register"
            raise CommandError(what, exit_status=REFUSED) from error


def _read_password(*, from_stdin: bool, twice: bool) -> str:
    advice = "use --password-stdin"
    return read_secret(
        "password", "Password: ", from_stdin=from_stdin, again="Once more: " if twice else "", advice=advice
    )
