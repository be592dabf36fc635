"""A server that speaks S3, in a process of its own: moto, without an account anywhere."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

START_SECONDS = 20.0


@dataclass(frozen=True)
class S3Server:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, bucket: str) -> dict[str, Any]:
        """Settings of a replica that keeps files in this bucket."""
        return {
            "storage_url": f"s3://{bucket}/some/prefix",
            "aws_endpoint_url": self.url,
            "aws_region": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }

    async def new_bucket(self) -> str:
        bucket = f"bucket-{uuid4()}"
        await self.ask("PUT", f"/{bucket}")
        return bucket

    async def objects(self, bucket: str) -> list[str]:
        return _between(await self.ask("GET", f"/{bucket}?list-type=2"), "<Key>", "</Key>")

    async def unfinished_uploads(self, bucket: str) -> list[str]:
        return _between(await self.ask("GET", f"/{bucket}?uploads"), "<UploadId>", "</UploadId>")

    async def ask(self, method: str, target: str) -> str:
        def work() -> str:
            request = urllib.request.Request(self.url + target, method=method)  # noqa: S310 - http, on this machine
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                text: str = answer.read().decode()
                return text

        return await asyncio.to_thread(work)


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the S3 server did not start") from None
                time.sleep(0.02)
        yield S3Server(port)
    finally:
        process.kill()
        process.wait()


def _between(text: str, begin: str, end: str) -> list[str]:
    return [part.partition(end)[0] for part in text.split(begin)[1:]]
