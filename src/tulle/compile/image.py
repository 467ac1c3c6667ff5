"""World → Image: what every derived map of the kernel should hold, byte for byte.

Nothing is looked at twice: each step keeps what it made in a memo, with what it was made from, and
an object that is the same object as before is not looked into.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tulle.model.kubernetes import Namespace
from tulle.model.routing import Proxied
from tulle.model.verdict import Rule
from tulle.model.world import IPAddress, Refusal, World

from .capacity import LIMITS, Limits
from .claims import claims_of, prefixes_of
from .egress import Egress, egress_parts
from .endpoints import EndpointParts, endpoint_parts
from .identities import RESERVED
from .ids import Allocator, Ids
from .in_force import PoliciesInForce, policies_in_force
from .isolation import Choices, Isolation, choices_of, isolate
from .members import Census, Members, count, members_of
from .outside import Outside, OutsidePart, outside_of, outside_part
from .parts import Image, Part
from .policies import BUILTIN, Rules, number_rules
from .services import Frontend, ServiceParts, service_parts
from .speech import Speech, speech_of
from .survey import Survey, survey
from .translate import Translated, policies_of

_RESERVED = frozenset(RESERVED)


class Memo(NamedTuple):
    """What the steps of a compilation made."""

    namespaces: Mapping[str, Namespace] = {}
    translated: Translated = Translated()
    in_force: PoliciesInForce = PoliciesInForce()
    survey: Survey = Survey()
    outside: Outside = Outside()
    census: Census = Census()
    members: Members = Members()
    choices: Choices = Choices()
    rules: Rules = Rules()
    speech: Speech = Speech()
    isolation: Isolation = Isolation()
    endpoints: EndpointParts = EndpointParts()
    services: ServiceParts | None = None
    egress: Egress = Egress()
    outside_part: OutsidePart = OutsidePart()


@dataclass(frozen=True, slots=True)
class Compiled:
    """The image, and what its numbers mean."""

    image: Image
    ids: Ids
    rules: Mapping[int, Rule]
    identities: Mapping[int, str]
    services: Mapping[int, Frontend]
    refusals: tuple[Refusal, ...] = ()
    limits: Limits = field(default_factory=dict, compare=False, repr=False)
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    @property
    def steered(self) -> frozenset[IPAddress] | None:
        """The addresses that are the node's proxy's; None if nothing at all is for it."""
        proxied = self.memo.services.inputs.proxied.all if self.memo.services else ()
        if not proxied and not self.memo.isolation.listened:
            return None
        return frozenset(address for _, address, _, _ in proxied)


def compile_world(
    world: World,
    ids: Ids,
    limits: Limits = LIMITS,
    before: Compiled | None = None,
    proxied: frozenset[Proxied] = frozenset(),
) -> Compiled:
    """Services must have their addresses (`with_addresses`); `proxied` are those of them that the
    node's proxy takes.

    What does not fit into `limits` is among the refusals, and denied where it concerns policy.
    `before` only saves work; it is of no use if `ids` are not those that it left.
    """
    stands = before and before.limits == limits and (before.ids is ids or before.ids == ids)
    old = before.memo if before and stands else Memo()
    if world.namespaces == old.namespaces:  # its namespaces are the same objects
        world = replace(world, namespaces=old.namespaces)
    allocator = Allocator(ids)
    memo = _ruled(world, _seen(world, limits, old), limits, allocator, old)
    room = {**limits, "ipcache": limits["ipcache"] - len(memo.outside.stretches)}
    present = memo.survey.present(world)
    services = service_parts(present, allocator, room, old.services, proxied)
    numbers, sets = memo.census.numbers, memo.isolation.sets
    memo = memo._replace(
        services=services,
        egress=egress_parts(present, limits, old.egress),
        endpoints=endpoint_parts(memo.survey, numbers, sets, old.endpoints),
        outside_part=outside_part(memo.outside, numbers, services, limits, old.outside_part),
    )
    return _compiled(memo, allocator.freeze(), limits, before if stands else None)


def _seen(world: World, limits: Limits, old: Memo) -> Memo:
    """Everybody whom a policy may mean."""
    translated = policies_of(world, old.translated)
    claims = claims_of(world, old.survey.claims)
    others = (*prefixes_of(claims), *world.settings.no_masquerade)
    in_force = policies_in_force(translated.policies, others, limits, old.in_force)
    distinctions = in_force.index.distinctions
    return Memo(
        namespaces=world.namespaces,
        translated=translated,
        in_force=in_force,
        survey=survey(world, claims, distinctions, limits, old.survey),
        outside=outside_of(world, claims, distinctions, old.outside),
    )


def _ruled(world: World, memo: Memo, limits: Limits, allocator: Allocator, old: Memo) -> Memo:
    """What policies say of them."""
    index, local = memo.in_force.index, memo.survey.local
    others = {f"node {name}": places.peers for name, places in memo.survey.remote.items()}
    peers = {"local": local.peers, "outside": memo.outside.peers, "reserved": _RESERVED}
    census, turnover = count({**peers, **others}, old.census, allocator)
    members = members_of(index.matching, census, turnover, old.members)
    choices = choices_of(world, index, local, old.choices)
    rules = number_rules(index, choices.selected(), limits, allocator, old.rules)
    speech = speech_of(world, local.rows, old.speech)
    stream = world.settings.stream
    isolation = isolate(
        choices, members, rules, limits, allocator, old.isolation, stream=stream, unread=speech.of
    )
    rules = rules._replace(denials=isolation.denial_names) if isolation.denial_names else rules
    return memo._replace(
        census=census,
        members=members,
        choices=choices,
        rules=rules,
        speech=speech,
        isolation=isolation,
    )


def _compiled(memo: Memo, ids: Ids, limits: Limits, before: Compiled | None) -> Compiled:
    services = memo.services or ServiceParts()
    rules, rules_part = _rules(memo, before)
    image: dict[Hashable, Part] = {
        ("rules",): rules_part,
        ("outside",): memo.outside_part.part,
        **memo.isolation.parts,
        **memo.endpoints.parts(),
        **services.parts,
        **memo.egress.parts,
    }
    refusals = (
        *memo.translated.refusals,
        *memo.in_force.refusals,
        *memo.survey.refusals,
        *memo.isolation.refusals,
        *services.refusals,
        *memo.egress.refusals,
    )
    names = memo.census.names
    return Compiled(image, ids, rules, names, services.names, refusals, limits, memo)


def _rules(memo: Memo, before: Compiled | None) -> tuple[Mapping[int, Rule], Part]:
    """Every rule has a counter, whether it decides anything or not."""
    numbers, denials = memo.rules.numbers, memo.isolation.denials
    if before and before.memo.rules.numbers is numbers and before.memo.isolation.denials == denials:
        return before.rules, before.image["rules",]
    names = dict(BUILTIN)
    names.update((number, rule) for rule, number in {**numbers, **denials}.items())
    return names, {"rules": {number.to_bytes(4, "little"): b"" for number in names}}
