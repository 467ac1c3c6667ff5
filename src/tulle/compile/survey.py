"""All nodes and workloads, with the peers that they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from tulle.model.world import Key, Node, Refusal, Workload, World

from .capacity import Limits, full
from .claims import Claim, Claims
from .identities import Distinctions
from .places import Places, Surveyor, fitting

_NOBODY: Mapping[Key, Workload] = {}


class Cut(NamedTuple):
    """Places without those for whom there is no room."""

    places: Places
    whole: Places
    room: int


class Survey(NamedTuple):
    """This node and the others, by name; `local` and `remote` are what fits of them."""

    claims: Claims = Claims()
    claim_of: Mapping[str, Claim] = {}
    local: Places = Places()
    remote: Mapping[str, Places] = {}
    whole: Mapping[str, Places] = {}
    cut: Mapping[str, Cut] = {}

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        places = (self.local, *self.remote.values())
        return (*self.claims.refusals, *(item for place in places for item in place.refusals))

    def present(self, world: World) -> World:
        """The world without those who are cut off; itself if nobody is."""
        places = {name: item.workloads for name, item in self.remote.items()}
        same = self.local.workloads is world.workloads and all(
            places[name] is workloads for name, workloads in world.remote.items()
        )
        return world if same else replace(world, workloads=self.local.workloads, remote=places)


def survey(
    world: World, claims: Claims, distinctions: Distinctions, limits: Limits, before: Survey
) -> Survey:
    surveyor = Surveyor(world, distinctions)
    local = surveyor.local(claims.here, before.whole.get("", Places()))
    whole: dict[str, Places] = {"": local}
    claim_of = dict(claims.of)
    unknown = world.remote.keys() - claims.of.keys()  # not known as nodes: they may have nothing
    for name in sorted(unknown):
        nothing = Claim(Node(name), (), ())
        known = before.claim_of.get(name)
        claim_of[name] = known if known == nothing else nothing
    for name in claim_of:
        places = before.whole.get(name, Places())
        whole[name] = surveyor.remote(claim_of[name], world.remote.get(name, _NOBODY), places)
    room = limits["endpoints"] - len(world.node.addresses)
    fit, cut = whole, dict[str, Cut]()
    if sum(places.size for places in whole.values()) > room:
        cut = _cut(whole, room, full("endpoints", limits), before.cut)
        fit = {name: item.places for name, item in cut.items()}
    remote = {name: places for name, places in fit.items() if name}
    return Survey(claims, claim_of, fit[""], remote, whole, cut)


def _cut(
    whole: Mapping[str, Places], room: int, reason: str, before: Mapping[str, Cut]
) -> dict[str, Cut]:
    """This node's workloads first."""
    found: dict[str, Cut] = {}
    for name, places in whole.items():
        known = before.get(name)
        if places.size <= room:
            known = Cut(places, places, room)
        elif known is None or known.whole is not places or known.room != room:
            known = Cut(fitting(places, room, reason), places, room)
        found[name] = known
        room -= known.places.size
    return found
