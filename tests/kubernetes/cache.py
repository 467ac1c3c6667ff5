"""Where the programs of a real Kubernetes are: outside the repository, built once for a machine.

`python -m tests.kubernetes.cache` builds what is not there. `TULLE_KUBERNETES=DIRECTORY` names
programs of one's own, of another version say; those that it lacks are built as ever.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).with_name("build.sh")


def directory() -> Path:
    """Changes with how it is built, and with that which version."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(os.uname().machine.encode() + BUILD.read_bytes()).hexdigest()[:16]
    return caches / "tulle" / f"kubernetes-{key}"


def build() -> Path:
    """Returns when all is there; one process builds, others wait for it.

    Raises AssertionError, which tells the end of the log.
    """
    made = directory()
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _build_into(made)
    return made / "bin"


def program(name: str) -> Path:
    """Builds it if need be. Raises AssertionError."""
    own = os.environ.get("TULLE_KUBERNETES")
    if own and (path := Path(own) / name).exists():
        return path
    return build() / name


def _build_into(made: Path) -> None:
    unfinished, log = made.with_suffix(".new"), made.with_suffix(".log")
    for path in (unfinished, unfinished.with_suffix(".work")):  # of a build that was interrupted
        shutil.rmtree(path, ignore_errors=True)
    with log.open("w") as output:
        line = ["nice", "-n", "19", "sh", BUILD, unfinished]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    if done.returncode:
        end = "\n".join(log.read_text().splitlines()[-20:])
        raise AssertionError(f"Kubernetes was not built; the end of {log}:\n{end}")
    unfinished.rename(made)


if __name__ == "__main__":
    try:
        print(build())
    except AssertionError as error:
        sys.exit(str(error))
