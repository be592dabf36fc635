"""`scripts/image`: carry the Dockerfile out, start the image, ask it; a line a finding, exit status 1 if one is bad."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.deploy.dockerfile import read_dockerfile
from tests.deploy.findings import Findings, size_of
from tests.deploy.proof import Proof
from tests.deploy.rootfs import Builder, make_base
from tests.support.postgres import DatabaseServer

ROOT = Path(__file__).parents[2]
CACHE = Path("/var/tmp/webedt-image")  # noqa: S108 - of root, who made it
BUILD = {"BUILD_COMMIT_SHA": "0123abc", "BUILD_TIMESTAMP": "2026-01-02T03:04:05Z", "BUILD_VERSION": "9.8.7"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/image", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the Debian root is kept")
    parser.add_argument("--suite", default="trixie", help="the Debian that stands for the base image")
    options = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        print("scripts/image needs root and debootstrap (apt-get install debootstrap)", file=sys.stderr)
        return 2
    base = make_base(options.cache, options.suite)
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="build-", dir=options.cache) as folder:
        builder = Builder(ROOT, Path(folder), base, BUILD)
        try:
            print("== build")
            image = builder.build(read_dockerfile((ROOT / "Dockerfile").read_text()))
            findings.measure("installed tree, /opt/webedt", size_of(image.root / "opt/webedt"))
            findings.measure("all that it adds to the base image", size_of(image.added))
            asyncio.run(prove(Proof(findings, image, Path(folder))))
        finally:
            builder.close()
    return findings.exit_status


async def prove(proof: Proof) -> None:
    print("== without a database")
    await proof.without_database()
    url = os.environ.get("TEST_DATABASE_URL", "")
    if not url:
        print("TEST_DATABASE_URL is not set: nothing was proved that needs a database")
        return
    print("== with a database")
    async with DatabaseServer(url, f"webedt_image_{os.getpid()}_").database("proof") as database_url:
        await proof.migration(database_url)
        await proof.replica(database_url, BUILD)
        await proof.orphans(database_url)


if __name__ == "__main__":
    sys.exit(main())
