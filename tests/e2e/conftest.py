"""A mesh of its own for each test module, gone without a trace afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.mesh import Cluster, Mesh, admit, service
from tulle.edges.cgroup import find_mount


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    name = f"e2e-{os.getpid()}"
    made = Mesh(name)
    made.start()
    try:
        yield made
    finally:
        made.stop()
    assert_gone(name)


Clusters = Callable[..., AbstractContextManager[Cluster]]


@pytest.fixture(scope="session")
def clusters() -> Clusters:
    """Called with a short name, names of nodes and options, it gives a cluster for a while."""
    return _cluster


@contextmanager
def _cluster(short: str, nodes: Iterable[str], *options: str) -> Iterator[Cluster]:
    name = f"e2e-{os.getpid()}-{short}"
    made = Cluster(name, nodes, *options)
    try:
        made.start()
        yield made
    finally:
        made.stop()
    assert_gone(name)


def assert_gone(name: str) -> None:
    """Nothing of this name, or with something behind a dash, is left."""
    places = (
        Path("/run/tulle"),
        Path("/run/tulle-lab"),
        Path("/sys/fs/bpf/tulle"),
        find_mount(),
    )
    named = names(name)
    assert not [path for place in places for path in place.glob("*") if named(path.name)]
    assert not named(subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout)


def names(name: str) -> Callable[[str], object]:
    """Whether a text has this name in it: one process's number may begin with another one's."""
    return re.compile(rf"{re.escape(name)}(?!\d)").search


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Mesh:
    """A web server, a client that its policy admits, and a stranger that it does not."""
    mesh.serve("web", app="web")
    mesh.run("client", "sleep", "inf")
    mesh.run("stranger", "sleep", "inf")
    mesh.apply(service("web", "web"), admit("web", "web", "client"))
    return mesh
