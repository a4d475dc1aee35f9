"""The audit of dependencies in `make lint`: nothing that runs is unpinned, nothing known to be bad.

1. Offline: every package in both locks has one version and hashes, and the environment holds just
   those versions.
2. Online: the public database of vulnerabilities (osv.dev) is asked once about all of them. Where
   it cannot be reached the audit says so and goes on: a release is made where it can.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from importlib.metadata import distributions
from pathlib import Path

from lab.system import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
ADDRESS = "https://api.osv.dev/v1/querybatch"
SECONDS = 8.0
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_ENTRY = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    """Package -> version of a lock. Raises ValueError for an entry without version or hash."""
    found: dict[str, str] = {}
    for entry in _ENTRY.split(lock.read_text())[1:]:
        match = _PIN.match(entry)
        if match is None:
            raise ValueError(f"{lock.name}: '{entry.splitlines()[0]}' has no version")
        if "--hash=sha256:" not in entry:
            raise ValueError(f"{lock.name}: {match[1]} has no hash")
        found[_normal(match[1])] = match[2]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def strays(wanted: dict[str, str]) -> list[str]:
    """What is installed otherwise than the lock says."""
    here = {_normal(d.metadata["Name"]): d.version for d in distributions()}
    return [
        f"{name} is {here[name]} here, {version} in the lock"
        for name, version in wanted.items()
        if name in here and here[name] != version
    ]


def known_bad(wanted: dict[str, str], address: str = ADDRESS) -> list[str]:
    """Vulnerabilities of these versions. Raises OSError where nobody answers."""
    names = sorted(wanted)
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": wanted[name]} for name in names
    ]
    request = urllib.request.Request(
        address,
        data=json.dumps({"queries": queries}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        told = json.load(answer)["results"]
    return [
        f"{name} {wanted[name]}: {', '.join(one['id'] for one in result['vulns'])}"
        for name, result in zip(names, told, strict=True)
        if result.get("vulns")
    ]


def main(address: str = "") -> int:
    """Print what is wrong; exit code 1 where something is."""
    try:
        locks = [pins(ROOT / lock) for lock in LOCKS]
    except ValueError as error:
        sys.stderr.write(f"Dependency audit: {error}. Run: make lock\n")
        return 1
    wanted = {name: version for lock in locks for name, version in lock.items()}
    wrong = strays(locks[-1])
    try:
        wrong += known_bad(wanted, address or os.environ.get("KOPPEL_AUDIT_URL", ADDRESS))
        asked = "none is known to be vulnerable"
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "reason", "") or type(error).__name__
        asked = f"osv.dev could not be asked about vulnerabilities here ({reason})"
    for line in wrong:
        sys.stderr.write(f"Dependency audit: {line}\n")
    if not wrong:
        sys.stdout.write(f"{len(wanted)} packages are pinned with hashes; {asked}.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
