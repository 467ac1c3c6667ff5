"""A control plane for each file: what one leaves behind is in no other one's way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters, names
from tests.e2e.conftest import clusters as clusters
from tests.e2e.mesh import Cluster, wait_for
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.crds import definitions
from tests.kubernetes.kubectl import Json
from tests.kubernetes.mesh import lab_cluster


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with control_plane(f"tests-{os.getpid()}") as made:
        yield made
    places = (made.directory.parent, Path("/dev/shm"))  # noqa: S108
    named = names(made.name)
    assert not [path for place in places for path in place.glob("*") if named(path.name)]
    assert not named(Path("/proc/self/mountinfo").read_text())


@pytest.fixture(scope="module")
def crds(plane: ControlPlane) -> ControlPlane:
    """The same, knowing every kind that Tulle reads."""
    plane.kubectl.apply(*definitions(), manager="tests")
    wait_for(lambda: all(map(_is_established, plane.kubectl.list("crd"))), 60)
    return plane


@pytest.fixture(scope="module")
def cluster(crds: ControlPlane, clusters: Clusters) -> Iterator[Cluster]:
    """Two lab nodes whose agents read the API, and write what became of it."""
    with lab_cluster(crds, clusters, "api", ("a", "b"), "--duties") as made:
        yield made


def _is_established(definition: Json) -> bool:
    """kubectl's own `wait` fails of one that has no status yet."""
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
