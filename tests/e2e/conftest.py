"""A mesh of its own for each test module, gone without a trace afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.mesh import Mesh, admit, service
from tulle.edges.cgroup import find_mount


@pytest.fixture(scope="module")
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    name = f"e2e-{os.getpid()}"
    made = Mesh(name)
    made.start()
    try:
        yield made
    finally:
        made.stop()
    left = [
        path
        for path in (
            Path("/run/tulle") / name,
            Path("/sys/fs/bpf/tulle") / name,
            find_mount() / f"tulle-{name}",
        )
        if path.exists()
    ]
    assert not left
    assert name not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def shop(mesh: Mesh) -> Mesh:
    """A web server, a client that its policy admits, and a stranger that it does not."""
    mesh.serve("web", app="web")
    mesh.run("client", "sleep", "inf")
    mesh.run("stranger", "sleep", "inf")
    mesh.apply(service("web", "web"), admit("web", "web", "client"))
    return mesh
