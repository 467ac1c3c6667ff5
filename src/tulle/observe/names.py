"""What the numbers in kernel events mean, as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tulle.compile import Compiled
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import Rule
from tulle.model.world import IPAddress, Workload, World

CgroupId = int


@dataclass(frozen=True, slots=True)
class Names:
    """`clock_offset_ns` is CLOCK_REALTIME minus CLOCK_MONOTONIC."""

    node: str = "local"
    workloads: Mapping[IPAddress, Workload] = field(default_factory=dict)
    cgroups: Mapping[CgroupId, Workload] = field(default_factory=dict)
    identities: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[int, Rule] = field(default_factory=dict)
    services: Mapping[int, ObjectRef] = field(default_factory=dict)
    service_addresses: Mapping[IPAddress, ObjectRef] = field(default_factory=dict)
    clock_offset_ns: int = 0


def names_of(
    world: World,
    compiled: Compiled,
    cgroups: Mapping[CgroupId, Workload],
    clock_offset_ns: int,
) -> Names:
    """The names of what was compiled from `world`. `cgroups` are those that commands run in."""
    frontends = compiled.services.items()
    return Names(
        node=world.node.name,
        workloads={
            address: workload
            for workload in world.workloads.values()
            for address in workload.addresses
        },
        cgroups=cgroups,
        identities={
            number: tuple(name.split(";")) if name else ()
            for number, name in compiled.identities.items()
        },
        rules=compiled.rules,
        services={number: frontend.service for number, frontend in frontends},
        service_addresses={frontend.address: frontend.service for _, frontend in frontends},
        clock_offset_ns=clock_offset_ns,
    )
