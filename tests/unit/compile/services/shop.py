"""Services of a small world, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import msgspec

from tests.unit.compile.objects import objects, workload, world_of
from tulle.compile.ids import Allocator, Ids
from tulle.compile.parts import DERIVED
from tulle.compile.services import (
    Allocated,
    Backend,
    Frontend,
    Kind,
    ServiceParts,
    service_parts,
    with_addresses,
)
from tulle.model.cilium import CiliumLoadBalancerIPPool
from tulle.model.kubernetes import ContainerPort, ObjectRef
from tulle.model.world import Node, Settings, Workload, World

ZONE = "topology.kubernetes.io/zone"
PLENTY = dict.fromkeys(DERIVED, 1 << 20)
HERE = Node("here", (ip_address("192.0.2.1"), ip_address("2001:db8::1")), labels={ZONE: "a"})
NODES = {
    "near": Node("near", (ip_address("192.0.2.2"),), labels={ZONE: "a"}),
    "far": Node("far", (ip_address("192.0.2.3"),), labels={ZONE: "b"}),
}
HTTP = "ports: [{port: 80}]"


def service(name: str, spec: str = HTTP, **metadata: str) -> str:
    """`metadata`: labels and annotations, as YAML."""
    more = "".join(f", {key}: {value}" for key, value in metadata.items())
    return f"---\n{{kind: Service, metadata: {{name: {name}{more}}}, spec: {{{spec}}}}}\n"


def selecting(name: str = "db", more: str = "", ports: str = HTTP, **metadata: str) -> str:
    spec = f"selector: {{app: {name}}}, {ports}{', ' if more else ''}{more}"
    return service(name, spec, **metadata)


def listing(*endpoints: str, name: str = "a", of: str = "db", port: str = "port: 80") -> str:
    """An EndpointSlice; an endpoint is an address, or fields in YAML."""
    listed = ", ".join(
        f"{{{item}}}" if ":" in item and "addresses" in item else f"{{addresses: ['{item}']}}"
        for item in endpoints
    )
    family = "IPv6" if any("fd00" in item for item in endpoints) else "IPv4"
    return f"""
---
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {of}}}}}
addressType: {family}
endpoints: [{listed}]
ports: [{{{port}}}]
"""


def pod(
    name: str,
    *addresses: str,
    node: str = "",
    app: str = "db",
    ports: tuple[ContainerPort, ...] = (),
    **state: object,
) -> Workload:
    made = workload(name, *addresses, ports=ports, app=app)
    if node:
        made = replace(made, node=node, ifindex=0)
    return replace(made, **state)  # type: ignore[arg-type]


def town(*pods: Workload, text: str = "", dsr: bool = False, node: Node = HERE) -> World:
    """Three nodes; pods go to the one that they name."""
    remote = {name: {item.key: item for item in pods if item.node == name} for name in NODES}
    world = world_of(*(item for item in pods if not item.node), text=text, node=node)
    pools: Mapping[str, CiliumLoadBalancerIPPool] = {
        item.metadata.name: item
        for item in objects(text)
        if isinstance(item, CiliumLoadBalancerIPPool)
    }
    settings = Settings(load_balancing="dsr" if dsr else "snat")
    return replace(world, nodes=NODES, remote=remote, settings=settings, address_pools=pools)


def built(world: World) -> ServiceParts:
    return Passes().run(world)


class Passes:
    """One pass after the other, as an agent makes them."""

    def __init__(self, limits: Mapping[str, int] = PLENTY) -> None:
        self.limits = limits
        self.allocated: Allocated | None = None
        self.parts: ServiceParts | None = None
        self.ids = Ids()

    def run(self, world: World) -> ServiceParts:
        world, self.allocated = with_addresses(world, self.allocated)
        allocator = Allocator(self.ids)
        self.parts = service_parts(world, allocator, self.limits, self.parts)
        self.ids = allocator.freeze()
        return self.parts


def frontend(parts: ServiceParts, kind: Kind, family: int = 4, name: str = "db") -> Frontend:
    """The only one of a kind and family."""
    (found,) = (
        item
        for item in parts.of(ObjectRef("Service", "shop", name))
        if item.kind is kind and item.face.family == family
    )
    return found


def at(backends: tuple[Backend, ...]) -> list[str]:
    return [f"{item.address}:{item.port}" for item in backends]


def reasons(parts: ServiceParts) -> list[str]:
    return [f"{item.ref}: {item.reason}" for item in parts.refusals]


def changed(world: World, name: str, **spec: object) -> World:
    """Another spec of a service."""
    old = world.services["shop", name]
    new = msgspec.structs.replace(old, spec=msgspec.structs.replace(old.spec, **spec))
    return replace(world, services={**world.services, ("shop", name): new})
