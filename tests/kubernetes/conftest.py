"""A control plane for each file: what one leaves behind is in no other one's way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters, names
from tests.e2e.conftest import clusters as clusters
from tests.e2e.mesh import Cluster
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.known import knowing
from tests.kubernetes.mesh import lab_cluster


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with control_plane(f"tests-{os.getpid()}") as made:
        yield made
    _assert_gone(made)


@pytest.fixture(scope="module")
def crds() -> Iterator[ControlPlane]:
    """One that knows every kind which Tulle reads."""
    with knowing(f"crds-{os.getpid()}") as made:
        yield made
    _assert_gone(made)


@pytest.fixture(scope="module")
def cluster(crds: ControlPlane, clusters: Clusters) -> Iterator[Cluster]:
    """Two lab nodes whose agents read the API, and write what became of it."""
    with lab_cluster(crds, clusters, "api", ("a", "b"), "--duties") as made:
        yield made


def _assert_gone(plane: ControlPlane) -> None:
    places = (plane.directory.parent, Path("/dev/shm"))  # noqa: S108
    named = names(plane.name)
    assert not [path for place in places for path in place.glob("*") if named(path.name)]
    assert not named(Path("/proc/self/mountinfo").read_text())
