"""Where the programs of a real Kubernetes are: outside the repository, built once for a machine.

`python -m tests.kubernetes.cache` builds what is not there, and Tulle's image, for tests to come.
`TULLE_KUBERNETES=DIRECTORY` names programs of one's own, of another version say; those that it
lacks are built as ever.
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
ROOT = Path(__file__).parents[2]
_IMAGE_OF = ("run", "src", "requirements", "tools")


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
    if (chosen := own()) and (path := chosen / name).exists():
        return path
    return build() / name


def own() -> Path | None:
    """Where programs of one's own are."""
    named = os.environ.get("TULLE_KUBERNETES")
    return Path(named) if named else None


def image() -> Path:
    """Tulle's, by `./run image`; one process makes it, if it is older than what it is made of."""
    archive = ROOT / "build" / "image" / "tulle.tar"
    with (ROOT / "build" / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists() or archive.stat().st_mtime < _changed_at():
            done = subprocess.run([ROOT / "run", "image"], capture_output=True, text=True)
            assert not done.returncode, done.stdout + done.stderr
    return archive


def _changed_at() -> float:
    places = [ROOT / name for name in _IMAGE_OF]
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return max(path.stat().st_mtime for path in files if "__pycache__" not in path.parts)


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
        print(build(), image())
    except AssertionError as error:
        sys.exit(str(error))
