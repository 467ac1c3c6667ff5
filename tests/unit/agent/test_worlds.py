"""Every kind that is read has its place in the world."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.agent.mesh import Mesh
from tulle.agent.worlds import world_of
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kinds import KINDS
from tulle.model.world import Node, Settings

# workloads, the mesh, those with kept addresses, and what Services stand for
ELSEWHERE = {
    "Pod",
    "Node",
    "Service",
    "MeshNode",
    "MeshWorkload",
    "ServiceExport",
    "ServiceImport",
}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - ELSEWHERE))
def test_it_is_there(kind: str) -> None:
    objects: dict[Any, Any] = {("shop", "one"): object()}
    world = world_of(Snapshot({kind: objects}, ()), Mesh(Node(), {}), Settings(), {})
    fields = [getattr(world, name) for name in world.__dataclass_fields__]
    assert [field for field in fields if field is objects] == [objects]


def test_services_come_with_their_addresses() -> None:
    services: dict[Any, Any] = {}
    mesh = Mesh(Node(name="n1"), {}, remote={"n2": {}})
    world = world_of(Snapshot({}, ()), mesh, Settings(), services)
    assert world.services is services
    assert (world.node, world.remote) == (mesh.node, mesh.remote)
