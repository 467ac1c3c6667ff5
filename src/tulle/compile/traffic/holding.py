"""Which policies of tulle.io hold at a place of the proxy's routing (GEP-713).

Of those for requests the most specific place decides: a route's rule, the route, the listener or
the Service's port, the Gateway or the Service. One with `override` comes before all that are more
specific. Of those for backends the one for a Service's port comes before the one for all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar, cast

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Destination,
    ExternalAuthorization,
    RequestPolicies,
    SessionPersistence,
)
from tulle.model.routing_policies import BackendTraffic, TokenCheck
from tulle.model.traffic import AuthPolicy, BackendPolicy, RoutePolicy, TrafficPolicy
from tulle.model.world import Key, World

from ..routes.http import session_of
from . import values
from .claims import Claims, Target, claims_of
from .references import References

P = TypeVar("P", bound=TrafficPolicy)
R = TypeVar("R", bound=RoutePolicy)
T = TypeVar("T")
Said = tuple[str, ObjectRef, str]  # what, by which policy, of which target


class Backing(NamedTuple):
    """What a Service's port is given by the policy that holds for it."""

    traffic: BackendTraffic | None = None
    session: SessionPersistence | None = None


NOTHING = Backing()


class Holding:
    """Of one world. Values that are equal to those of before are the same objects."""

    def __init__(self, world: World, before: Mapping[Said, object]) -> None:
        self._services, self._before = world.services, before
        self.references = References(world)
        backends: list[BackendPolicy] = [*world.backend_traffic.values()]
        self.backends = claims_of([*backends, *world.x_backend_traffic.values()])
        self.limits = claims_of(world.rate_limits.values())
        self.faults = claims_of(world.faults.values())
        self.auth = claims_of(world.auth_policies.values())
        self.values: dict[Said, object] = {}
        self.seen: dict[Target, dict[ObjectRef, None]] = {}  # targets, and through which fronts

    def policies_at(self, places: Sequence[Target], front: ObjectRef) -> RequestPolicies:
        """`places` begin with the most specific one."""
        limit = self._holder(self.limits, places, front)
        fault = self._holder(self.faults, places, front)
        auth = self._holder(self.auth, places, front)
        return RequestPolicies(
            limit and self._kept("limit", limit, lambda it: values.rate_limit(it, str(limit[1]))),
            auth and self._kept("tokens", auth, self._tokens),
            auth and self._kept("authorization", auth, self._authorization),
            fault and self._kept("fault", fault, values.fault),
        )

    def backing(self, destination: Destination, front: ObjectRef) -> Backing:
        of = ObjectRef("Service", *destination.service)
        name = self.port_name(destination.service, destination.port)
        held = self._held(self.backends, (Target(of, name), Target(of)), front)
        return self._kept("backing", held[0], _backing) if held else NOTHING

    def backed(self, destination: Destination, front: ObjectRef) -> Destination:
        traffic = self.backing(destination, front).traffic
        return replace(destination, traffic=traffic) if traffic else destination

    def port_name(self, key: Key, number: int) -> str:
        service = self._services.get(key)
        ports = service.spec.ports if service else ()
        return next((port.name for port in ports if port.port == number), "")

    def _tokens(self, policy: AuthPolicy) -> TokenCheck | None:
        return values.token_check(policy, lambda remote: self.references.keys(policy, remote))

    def _authorization(self, policy: AuthPolicy) -> ExternalAuthorization | None:
        found = self.references.authorization(policy)
        if found is None:
            return None
        return replace(found, destination=self.backed(found.destination, ref_of(policy)))

    def _holder(
        self, claims: Claims[R], places: Sequence[Target], front: ObjectRef
    ) -> tuple[R, Target] | None:
        held = self._held(claims, places, front)
        overriding = [pair for pair in held if pair[0].spec.override]
        return overriding[-1] if overriding else held[0] if held else None

    def _held(
        self, claims: Claims[P], places: Sequence[Target], front: ObjectRef
    ) -> list[tuple[P, Target]]:
        held: list[tuple[P, Target]] = []
        if not claims.of:  # most worlds have one or two of the kinds
            return held
        for place in dict.fromkeys(places):
            if (policy := claims.holder(place)) is not None:
                self.seen.setdefault(place, {})[front] = None
                held.append((policy, place))
        return held

    def _kept(self, what: str, held: tuple[P, Target], make: Callable[[P], T]) -> T:
        said = what, ref_of(held[0]), str(held[1])
        if said not in self.values:
            old, new = self._before.get(said), make(held[0])
            self.values[said] = old if old == new else new
        return cast(T, self.values[said])


def _backing(policy: BackendPolicy) -> Backing:
    session = session_of(policy.spec.session_persistence, ref_of(policy), 0)
    return Backing(values.backend_traffic(policy), session)
