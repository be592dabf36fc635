"""From the settings to a store: a directory, or a bucket that speaks S3.

Other variables that begin with `AWS_` (roles, instance credentials) obstore reads from the environment by itself; what
stands in the settings goes before.
"""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, ObjectStore, S3Store

from webedt.config import Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config  # names for the type checker alone

REQUEST_SECONDS = 30
CONNECT_SECONDS = 5
RETRIES: "RetryConfig" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


def storage_directory(settings: Settings) -> Path | None:
    """Where files are kept, or None if that is a bucket."""
    parts = urlsplit(settings.storage_location)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def open_store(settings: Settings) -> ObjectStore:
    """Takes no connection yet, but makes the directory. Raises what obstore raises when it cannot."""
    directory = storage_directory(settings)
    if directory is not None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalStore(directory, automatic_cleanup=True)
    parts = urlsplit(settings.storage_location)
    given = {
        "endpoint": settings.aws_endpoint_url,
        "region": settings.aws_region,
        "access_key_id": settings.aws_access_key_id,
        "secret_access_key": settings.aws_secret_access_key,
        "session_token": settings.aws_session_token,
    }
    config: S3Config = {name: value for name, value in given.items() if value}  # type: ignore[assignment]
    client: ClientConfig = {
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "allow_http": settings.aws_endpoint_url.startswith("http://"),  # loopback only, or it is refused at start
    }
    prefix = parts.path.strip("/") or None
    return S3Store(parts.netloc, prefix=prefix, config=config, client_options=client, retry_config=RETRIES)
