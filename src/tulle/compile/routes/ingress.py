"""Ingress (networking.k8s.io/v1): all of a class share one address, on ports 80 and 443.

Exact paths come before prefixes, long ones before short, exact hosts before wildcards; of two for
the same the older Ingress is in force. What nothing matches goes to a default backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tulle.model.ingress import (
    CLASS_ANNOTATION,
    DEFAULT_CLASS_ANNOTATION,
    INGRESS_CONTROLLER,
    HTTPIngressPath,
    Ingress,
    IngressBackend,
)
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import BUILT_IN_CLASS, BackendObjectReference
from tulle.model.routing import Destination, RequestMatch, Rule, TextMatch, ValueMatch
from tulle.model.world import World

from .backends import Backends
from .conditions import Json, age
from .facts import Asking, Facts, Question, still_hold
from .forms import Entry, Order
from .grants import Referrer

_LAST = 9  # of an entry's order: a default backend
_KINDS = {
    "Exact": TextMatch.EXACT,
    "Prefix": TextMatch.PREFIX,
    "ImplementationSpecific": TextMatch.PREFIX,
}


class HostForm(NamedTuple):
    """What one Ingress has for one host."""

    host: str
    entries: tuple[Entry, ...]
    age: Order


@dataclass(frozen=True, slots=True)
class IngressForm:
    """What an Ingress comes to. `problems` are references that do not hold."""

    ingress: Ingress
    hosts: tuple[HostForm, ...] = ()
    problems: tuple[str, ...] = ()
    answers: dict[Question, object] = field(default_factory=dict)


def own_ingress_classes(world: World) -> frozenset[str]:
    """Names of this controller's classes; one is there without anybody having made it."""
    found = {
        name
        for name, item in world.ingress_classes.items()
        if item.spec.controller == INGRESS_CONTROLLER
    }
    return frozenset(found if BUILT_IN_CLASS in world.ingress_classes else found | {BUILT_IN_CLASS})


def by_class(world: World) -> dict[str, list[Ingress]]:
    """The Ingresses of each class of this controller's that has any, the oldest first."""
    own, default = own_ingress_classes(world), _default_class(world)
    found: dict[str, list[Ingress]] = {}
    for item in sorted(world.ingresses.values(), key=lambda item: age(item.metadata)):
        annotated = item.metadata.annotations.get(CLASS_ANNOTATION, "")
        name = item.spec.ingress_class_name or annotated or default
        if name in own:
            found.setdefault(name, []).append(item)
    return dict(sorted(found.items()))


def _default_class(world: World) -> str:
    """For those that name none; the newest, as an API server chooses among several."""
    marked = [
        item
        for item in world.ingress_classes.values()
        if item.metadata.says(DEFAULT_CLASS_ANNOTATION)
    ]
    if not marked:
        return ""
    newest = max(str(item.metadata.creation_timestamp or "") for item in marked)
    return min(
        item.metadata.name
        for item in marked
        if str(item.metadata.creation_timestamp or "") == newest
    )


def ingress_forms(
    ingresses: Iterable[Ingress], facts: Facts, known: Mapping[ObjectRef, IngressForm]
) -> Iterator[IngressForm]:
    """One of which nothing has changed is the same object as before."""
    for item in ingresses:
        form = known.get(ref_of(item))
        if form is None or form.ingress is not item or not still_hold(form.answers, facts):
            form = _form(item, Asking(facts))
        yield form


def _form(ingress: Ingress, asking: Asking) -> IngressForm:
    ref, of_age = ref_of(ingress), age(ingress.metadata)
    targets = _Targets(ingress, asking)
    entries: dict[str, list[Entry]] = {}
    number = 0
    for rule in ingress.spec.rules:
        of_host = entries.setdefault(rule.host, [])
        for path in rule.http.paths if rule.http else ():
            match = _match(path, rule.host)
            order = (match.path_kind is not TextMatch.EXACT, -len(match.path), of_age, number)
            made = Rule(ref, number, destinations=(targets.destination(path.backend),))
            of_host.append(Entry(order, match, made))
            number += 1
        if rule.http is None and ingress.spec.default_backend is not None:
            of_host.append(_default(ingress.spec.default_backend, rule.host, targets, of_age))
    if ingress.spec.default_backend is not None:
        default = _default(ingress.spec.default_backend, "", targets, of_age)
        entries.setdefault("", []).append(default)
    hosts = tuple(HostForm(host, tuple(items), of_age) for host, items in entries.items() if items)
    return IngressForm(ingress, hosts, targets.problems, asking.answers)


def _default(backend: IngressBackend, host: str, targets: _Targets, of_age: Order) -> Entry:
    ref = ref_of(targets.ingress)
    rule = Rule(ref, 0, "default", destinations=(targets.destination(backend),))
    return Entry((_LAST, 0, of_age, 0), RequestMatch(headers=_one_label(host)), rule)


def _match(path: HTTPIngressPath, host: str) -> RequestMatch:
    kind, text = _KINDS[path.path_type], path.path or "/"
    if kind is TextMatch.PREFIX:
        text = text.rstrip("/") or "/"
    return RequestMatch(text, kind, headers=_one_label(host))


def _one_label(host: str) -> tuple[ValueMatch, ...]:
    """A wildcard of an Ingress stands for one label, a routing's for one or more."""
    if not host.startswith("*."):
        return ()
    pattern = rf"(?i)[^.]+{re.escape(host[1:])}(:[0-9]+)?"
    return (ValueMatch("host", pattern, TextMatch.REGEX),)


class _Targets:
    """Backends of one Ingress."""

    def __init__(self, ingress: Ingress, asking: Asking) -> None:
        self.ingress, self._asking = ingress, asking
        source = Referrer("Ingress", ingress.metadata.namespace)
        self._backends = Backends(asking, source, "HTTP")

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item.message for item in self._backends.problems))

    def destination(self, backend: IngressBackend) -> Destination:
        assert backend.service is not None  # validated
        name, port = backend.service.name, backend.service.port
        number = port.number
        if number is None:
            service = self._asking.service((self.ingress.metadata.namespace, name))
            ports = service.spec.ports if service else ()
            number = next((item.port for item in ports if item.name == port.name), None)
            if service is not None and number is None:
                whole = f"Service {self.ingress.metadata.namespace}/{name}"
                message = f"{whole} has no port named {port.name}"
                self._backends.refuse("BackendNotFound", message)
                found = (self.ingress.metadata.namespace, name)
                return Destination(found, 0, broken=message)
        return self._backends.destination(BackendObjectReference(name=name, port=number))


def ingress_status(addresses: Iterable[object]) -> Json:
    return {"loadBalancer": {"ingress": [{"ip": str(item)} for item in addresses]}}
