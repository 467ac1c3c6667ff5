"""What a route comes to by itself, whatever it is attached to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tulle.model.gateway_routes import Route
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import RequestMatch, Rule, Stream
from tulle.model.world import Key

from .conditions import RESOLVED, Verdict, age
from .facts import Question

Order = tuple[object, ...]


class Entry(NamedTuple):
    """`order` sorts by precedence among the entries of all routes for one hostname."""

    order: Order
    match: RequestMatch
    rule: Rule


class Mergeable(Protocol):
    """What is merged by hostname with others of its kind, the oldest first."""

    @property
    def entries(self) -> tuple[Entry, ...]: ...

    @property
    def age(self) -> Order: ...


@dataclass(frozen=True, slots=True)
class Form:
    """A route of HTTP or gRPC has `entries`, others have a `stream`.

    `hostnames` are the route's own; "" is any. `sealed` is the stream of a TLSRoute where TLS
    passes through: no BackendTLSPolicy holds for it.
    """

    route: Route
    ref: ObjectRef
    hostnames: tuple[str, ...] = ("",)
    entries: tuple[Entry, ...] = ()
    stream: Stream | None = None
    sealed: Stream | None = None
    resolved: Verdict = RESOLVED
    services: frozenset[Key] = frozenset()  # that it leads to
    answers: dict[Question, object] = field(default_factory=dict)

    @property
    def age(self) -> Order:
        return age(self.route.metadata)


def ref_and_age(route: Route) -> tuple[ObjectRef, Order]:
    return ref_of(route), age(route.metadata)
