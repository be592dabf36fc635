"""Started by `scripts/audit`: runs pip-audit and says what came of it.

By itself pip-audit calls it a success when it could look at nothing: without the advisories of PyPI it skips every
package, says "No known vulnerabilities found", and ends with 0.
"""

import json
import os
import re
import subprocess
import sys
import textwrap

OSV_URL = "https://api.osv.dev/v1/query"
# How pip-audit ends when the advisories cannot be had; anything else that goes wrong is no excuse.
UNREACHABLE = re.compile(r"requests\.exceptions\.|ServiceError|ConnectionError|vulnerability feed")


def main(lock: str) -> int:
    url = os.environ.get("AUDIT_OSV_URL") or OSV_URL
    audit = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--requirement", lock, "--no-deps", "--disable-pip",
         "--vulnerability-service", "osv", "--osv-url", url,
         "--format", "json", "--desc", "off", "--progress-spinner", "off"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        reason = textwrap.shorten((audit.stderr.strip().splitlines() or ["no word"])[-1], 200)
        if UNREACHABLE.search(reason):
            return not_audited(f"advisories of {url} unreachable: {reason}")
        print(f"{lock} cannot be audited: {reason}", file=sys.stderr)
        return 1
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        return not_audited(f"{len(skipped)} of {len(packages)} packages skipped: {', '.join(skipped)}")
    if not packages:
        return not_audited(f"{lock} names no packages")
    found = [(package, vulnerability) for package in packages for vulnerability in package["vulns"]]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"  {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    print(f"audited {len(packages)} packages, {len(found)} known vulnerabilities")
    return 1 if found else 0


def not_audited(why: str) -> int:
    print(f"NOT audited: {why}")
    return 1 if os.environ.get("AUDIT_REQUIRED") == "1" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
