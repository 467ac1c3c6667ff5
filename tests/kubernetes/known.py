"""A control plane that knows every kind which Tulle reads, made once for all that begin so.

An API server describes all of its kinds anew for each that comes, but only once for those that it
starts with: that is ten seconds of processor less for every file of tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.mesh import wait_for
from tests.kubernetes import cache
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.crds import definitions
from tests.kubernetes.kubectl import Json

_PATIENCE_S = 120.0


@contextmanager
def knowing(name: str) -> Iterator[ControlPlane]:
    """One for a while."""
    with control_plane(name, like=_kept()) as made:
        wait_for(lambda: _serves_all(made), _PATIENCE_S)
        yield made


def define(plane: ControlPlane) -> None:
    """Returns when objects of every kind are taken."""
    plane.kubectl.apply(*definitions(), manager="tests")
    wait_for(lambda: all(map(_is_established, plane.kubectl.list("crd"))), _PATIENCE_S)


def _kept() -> Path:
    """What etcd has then; one process makes it, others wait for it."""
    said = [json.dumps(definitions()), str(cache.directory()), str(cache.own())]
    key = hashlib.sha256("".join(said).encode()).hexdigest()[:16]
    made = cache.ROOT / "build" / f"known-{key}"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = made.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            with control_plane(f"known-{os.getpid()}") as plane:
                define(plane)
                plane.keep(unfinished)
            unfinished.rename(made)
    return made


def _serves_all(plane: ControlPlane) -> bool:
    """A server that has just started does not know of them for a moment."""
    served = plane.kubectl("api-resources", "-o", "name", "--cached=false", check=False).split()
    return {item["metadata"]["name"] for item in definitions()} <= set(served)


def _is_established(definition: Json) -> bool:
    """kubectl's own `wait` fails of one that has no status yet."""
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
