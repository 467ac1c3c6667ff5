"""What routes may ask of the world, and what they were told.

What a route comes to follows from the route and from the answers: as long as both are the same, so
is the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from tulle.model.kubernetes import Service
from tulle.model.routing import UpstreamTls
from tulle.model.world import Key, World

from .backend_tls import BackendPolicies
from .grants import Grants, Referrer, Target

T = TypeVar("T")
Question = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one world."""

    world: World
    grants: Grants
    policies: BackendPolicies

    def service(self, key: Key) -> Service | None:
        return self.world.services.get(key)

    def permit(self, source: Referrer, target: Target) -> bool:
        return self.grants.permit(source, target)

    def upstream_tls(self, service: Key, port: str) -> UpstreamTls | str | None:
        """How to speak TLS to a port, by its name; a text: why nobody can; None: without."""
        return self.policies.upstream_tls(service, port)


@dataclass(slots=True)
class Asking:
    """Facts, and every answer that was given.

    In the `mesh` references need no grant, but to whom the proxy speaks in its own name: policies
    then do not see the client, who might not be let through.
    """

    facts: Facts
    mesh: bool = False
    answers: dict[Question, object] = field(default_factory=dict)

    def service(self, key: Key) -> Service | None:
        return self._note("service", self.facts.service, key)

    def permit(self, source: Referrer, target: Target, own_name: bool = False) -> bool:
        if self.mesh and not own_name:
            return True
        return self._note("permit", self.facts.permit, source, target)

    def upstream_tls(self, service: Key, port: str) -> UpstreamTls | str | None:
        return self._note("upstream_tls", self.facts.upstream_tls, service, port)

    def _note(self, name: str, ask: Callable[..., T], *args: object) -> T:
        question = (name, args)
        if question not in self.answers:
            self.answers[question] = ask(*args)
        return cast(T, self.answers[question])


def still_hold(answers: dict[Question, object], facts: Facts) -> bool:
    for (name, args), answer in answers.items():
        now = getattr(facts, name)(*args)
        if now is not answer and (isinstance(now, Service) or now != answer):
            return False
    return True
