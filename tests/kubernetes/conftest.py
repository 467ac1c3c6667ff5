"""One control plane for all tests; what they make in it has namespaces and nodes of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import clusters as clusters
from tests.kubernetes.control_plane import ControlPlane, control_plane
from tests.kubernetes.crds import definitions


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    with control_plane(f"tests-{os.getpid()}") as made:
        yield made
    places = (made.directory.parent, Path("/dev/shm"))  # noqa: S108
    assert not [path for place in places for path in place.glob(f"*{made.name}*")]
    assert made.name not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture(scope="session")
def crds(plane: ControlPlane) -> ControlPlane:
    """The same, knowing every kind that Tulle reads."""
    plane.kubectl.apply(*definitions(), manager="tests")
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return plane
