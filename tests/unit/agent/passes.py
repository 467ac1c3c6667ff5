"""A pass by hand: what is in force of a world, without a kernel."""

from __future__ import annotations

from ipaddress import ip_address

from tulle.agent.agent import Pass
from tulle.compile import Ids, compile_world
from tulle.compile.services import with_addresses
from tulle.edges.manifests.directory import Snapshot
from tulle.model.world import IPAddress, World


def pass_of(world: World, before: Pass | None = None) -> Pass:
    world, allocated = with_addresses(world, before.allocated if before else None)
    old = before.compiled if before else None
    compiled = compile_world(world, old.ids if old else Ids(), before=old)
    told = (*allocated.refusals, *compiled.refusals)
    return Pass(world, compiled, Snapshot({}, ()), allocated, told)


class FakeLearnt:
    """What workloads know of names."""

    def __init__(self, **known: str) -> None:
        """Addresses by names, which have underscores for their dots."""
        self.known = {name.replace("_", "."): ip_address(item) for name, item in known.items()}

    def names(self, ifindex: int, address: IPAddress, *, fresh: bool) -> tuple[str, ...]:
        return tuple(name for name, item in self.known.items() if ifindex and item == address)

    def addresses(self, ifindex: int, name: str) -> list[IPAddress]:
        return [self.known[name]] if ifindex and name in self.known else []
