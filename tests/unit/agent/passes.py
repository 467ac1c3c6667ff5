"""A pass by hand: what is in force of a world, without a kernel."""

from __future__ import annotations

from tulle.agent.agent import Pass
from tulle.compile import Ids, compile_world
from tulle.compile.services import with_addresses
from tulle.edges.manifests.directory import Snapshot
from tulle.model.world import World


def pass_of(world: World, before: Pass | None = None) -> Pass:
    known = before.addresses if before else {}
    world, addresses, refused = with_addresses(world, known)
    compiled = compile_world(world, before.compiled.ids if before else Ids())
    return Pass(world, compiled, Snapshot({}, ()), addresses, (*refused, *compiled.refusals))
