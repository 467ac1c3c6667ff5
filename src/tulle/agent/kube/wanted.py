"""Which Secrets and ConfigMaps are needed: those that our own objects name and may use. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tulle.compile.routes.classes import own_classes
from tulle.compile.routes.grants import Grants, Referrer, Target
from tulle.compile.routes.ingress import by_class
from tulle.edges.manifests.directory import Snapshot
from tulle.model.gateway import (
    BackendTLSPolicy,
    Gateway,
    GatewayClass,
    Listener,
    ListenerSet,
    ReferenceGrant,
)
from tulle.model.ingress import Ingress, IngressClass
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import LocalReference, ObjectReference, SecretReference
from tulle.model.world import World

from .kinds import BY_NAME

Reference = SecretReference | ObjectReference | LocalReference
Found = Iterator[tuple[Referrer, Target]]

MOST = 1000  # for one namespace: each is a watch, of every node


def references(snapshot: Snapshot) -> tuple[frozenset[ObjectRef], list[str]]:
    """Nothing that a namespace has not granted to who names it, nothing of other controllers'
    Gateways and Ingresses, and not more than MOST for one namespace; and in words which name more.
    """
    found = _by_namespace(snapshot)
    what = "Secrets and ConfigMaps: the rest, by name, is not read"
    more = [
        f"Namespace {name}: its objects name {len(refs)}, and so more than {MOST}, {what}"
        for name, refs in sorted(found.items())
        if len(refs) > MOST
    ]
    return frozenset(ref for refs in found.values() for ref in sorted(refs)[:MOST]), more


def _by_namespace(snapshot: Snapshot) -> Mapping[str, set[ObjectRef]]:
    """Under who names them."""
    grants = Grants(snapshot.of(ReferenceGrant).values())
    found: dict[str, set[ObjectRef]] = defaultdict(set)
    for source, target in _named(snapshot):
        if not target.group and target.kind in BY_NAME and grants.permit(source, target):
            found[source.namespace].add(ObjectRef(target.kind, target.namespace, target.name))
    return found


def _named(snapshot: Snapshot) -> Found:
    world = World(
        gateway_classes=snapshot.named(GatewayClass),
        ingress_classes=snapshot.named(IngressClass),
        ingresses=snapshot.of(Ingress),
    )
    classes, gateways = own_classes(world), snapshot.of(Gateway)
    ours = {key: g for key, g in gateways.items() if g.spec.gateway_class_name in classes}
    for gateway in ours.values():
        yield from _of_gateway(gateway)
    for more in snapshot.of(ListenerSet).values():
        parent, own = more.spec.parent_ref, more.metadata.namespace
        if (parent.namespace or own, parent.name) in ours:
            yield from _of_listeners(Referrer("ListenerSet", own), more.spec.listeners)
    for policy in snapshot.of(BackendTLSPolicy).values():
        source = Referrer("BackendTLSPolicy", policy.metadata.namespace)
        yield from _targets(source, policy.spec.validation.ca_certificate_refs)
    for ingress in (item for found in by_class(world).values() for item in found):
        namespace = ingress.metadata.namespace
        for tls in ingress.spec.tls:
            target = Target("", "Secret", namespace, tls.secret_name)
            yield from [(Referrer("Ingress", namespace), target)] if tls.secret_name else ()


def _of_gateway(gateway: Gateway) -> Found:
    source, tls = Referrer("Gateway", gateway.metadata.namespace), gateway.spec.tls
    yield from _of_listeners(source, gateway.spec.listeners)
    if tls.backend and (shown := tls.backend.client_certificate_ref):
        yield from _targets(source, (shown,))
    if tls.frontend:
        for part in (tls.frontend.default, *(item.tls for item in tls.frontend.per_port)):
            if part.validation:
                yield from _targets(source, part.validation.ca_certificate_refs)


def _of_listeners(source: Referrer, listeners: Iterable[Listener]) -> Found:
    for listener in listeners:
        if listener.tls:
            yield from _targets(source, listener.tls.certificate_refs)


def _targets(source: Referrer, references: Iterable[Reference]) -> Found:
    for ref in references:
        namespace = getattr(ref, "namespace", "") or source.namespace
        yield source, Target(ref.group, ref.kind, namespace, ref.name)
