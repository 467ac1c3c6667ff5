"""A pass by hand: what is in force of a world, without a kernel."""

from __future__ import annotations

from tulle.agent.agent import Pass
from tulle.compile import Ids, compile_world
from tulle.compile.services import with_addresses
from tulle.edges.manifests.directory import Snapshot
from tulle.model.world import World


def pass_of(world: World, before: Pass | None = None) -> Pass:
    world, allocated = with_addresses(world, before.allocated if before else None)
    old = before.compiled if before else None
    compiled = compile_world(world, old.ids if old else Ids(), before=old)
    told = (*allocated.refusals, *compiled.refusals)
    return Pass(world, compiled, Snapshot({}, ()), allocated, told)
