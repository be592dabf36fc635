"""Where the Chromium of this machine is. `python -m tests.support.chromium` prints it, or says what is missing."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium that runs was found; install one (Debian: apt-get install chromium), or name it by CHROMIUM"
ANSWER_SECONDS = 30


def find_chromium() -> str | None:
    """The program: the one that `CHROMIUM` names, else the first that runs; None where there is none."""
    names = [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else NAMES
    programs = [found for name in names if (found := shutil.which(name))]
    return next((program for program in programs if _runs(program)), None)


def must_be_there() -> bool:
    """Whether to fail without it, instead of leaving tests out."""
    return os.environ.get("REQUIRE_BROWSER", "") not in ("", "0")


def _runs(program: str) -> bool:
    """Some distributions have a program of that name that only says where to get it."""
    try:
        return not subprocess.run([program, "--version"], capture_output=True, timeout=ANSWER_SECONDS).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    print(find_chromium() or sys.exit(MISSING))
