"""Rules of Gateway, ListenerSet, GatewayClass, ReferenceGrant and BackendTLSPolicy.

Those of the CRDs' CEL, and their patterns as far as the types do not have them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import msgspec

from tulle.model.gateway import (
    AllowedRoutes,
    BackendTLSPolicy,
    Gateway,
    GatewayAddress,
    Infrastructure,
    Listener,
    ListenerSet,
    ListenerTLS,
    SubjectAltName,
)

from .fields import FieldError, Path, quote
from .syntax import check_dns_subdomain, check_key, check_label_value, check_selector

_PLAIN_PROTOCOLS = ("HTTP", "TCP", "UDP")


def validate_gateway(gateway: Gateway) -> Gateway:
    """A status is dropped: Tulle says its own."""
    spec = gateway.spec
    _check_listeners(spec.listeners)
    _check_addresses(spec.addresses)
    allowed = spec.allowed_listeners.namespaces
    if allowed.selector is not None:
        check_selector(allowed.selector, "spec", "allowedListeners", "namespaces", "selector")
    if (frontend := spec.tls.frontend) is not None:
        ports = [item.port for item in frontend.per_port]
        check_unique(ports, "spec", "tls", "frontend", "perPort", field="port")
    _check_infrastructure(spec.infrastructure)
    return msgspec.structs.replace(gateway, status=None)


def validate_listener_set(listener_set: ListenerSet) -> ListenerSet:
    _check_listeners(listener_set.spec.listeners)
    return msgspec.structs.replace(listener_set, status=None)


def validate_backend_tls(policy: BackendTLSPolicy) -> BackendTLSPolicy:
    spec = policy.spec
    names = [(item.group, item.kind, item.name, item.section_name) for item in spec.target_refs]
    targets = Counter(name[:3] for name in names)
    for index, name in enumerate(names):
        if targets[name[:3]] > 1 and not name[3]:
            reason = "is required with several references to one target"
            raise FieldError(reason, "spec", "targetRefs", index, "sectionName")
    check_unique(names, "spec", "targetRefs", field="sectionName")
    path = ("spec", "validation")
    validation = spec.validation
    given, well_known = validation.ca_certificate_refs, validation.well_known_ca_certificates
    if bool(given) == bool(well_known):
        reason = "needs one of caCertificateRefs and wellKnownCACertificates"
        raise FieldError(reason if not given else reason + ", not both", *path)
    for index, item in enumerate(validation.subject_alt_names):
        _check_alt_name(item, *path, "subjectAltNames", index)
    return msgspec.structs.replace(policy, status=None)


def check_unique(items: Iterable[Hashable], *path: str | int, field: str) -> None:
    """`field` is that of a list's item in which it repeats an earlier one."""
    seen: dict[Hashable, int] = {}
    for index, item in enumerate(items):
        if index != (first := seen.setdefault(item, index)):
            raise FieldError(f"is the same as that of {path[-1]}[{first}]", *path, index, field)


def _check_alt_name(name: SubjectAltName, *path: str | int) -> None:
    for kind, field, given in (("Hostname", "hostname", name.hostname), ("URI", "uri", name.uri)):
        if bool(given) != (name.type == kind):
            reason = "needs type " + kind if given else f"is required for type {kind}"
            raise FieldError(reason, *path, field)


def _check_listeners(listeners: Sequence[Listener]) -> None:
    path = ("spec", "listeners")
    check_unique([item.name for item in listeners], *path, field="name")
    places = [(item.port, item.protocol, item.hostname) for item in listeners]
    seen: dict[Hashable, int] = {}
    for index, listener in enumerate(listeners):
        if index != (first := seen.setdefault(places[index], index)):
            reason = f"port, protocol and hostname are those of listeners[{first}]"
            raise FieldError(reason, *path, index, "port")
        _check_listener(listener, *path, index)


def _check_listener(listener: Listener, *path: str | int) -> None:
    protocol, tls = listener.protocol, listener.tls
    if protocol in _PLAIN_PROTOCOLS and tls is not None:
        raise FieldError(f"must be absent for protocol {protocol}", *path, "tls")
    if protocol == "HTTPS" and tls is not None and tls.mode != "Terminate":
        raise FieldError("must be Terminate for protocol HTTPS", *path, "tls", "mode")
    if protocol == "TLS" and tls is None:
        raise FieldError("is required for protocol TLS", *path, "tls")
    if protocol in ("TCP", "UDP") and listener.hostname:
        raise FieldError(f"must be absent for protocol {protocol}", *path, "hostname")
    if tls is not None:
        _check_tls(tls, *path, "tls")
    _check_allowed(listener.allowed_routes, *path, "allowedRoutes")


def _check_tls(tls: ListenerTLS, *path: str | int) -> None:
    if tls.mode == "Terminate" and not tls.certificate_refs and not tls.options:
        reason = "needs at least one certificate, or options, for mode Terminate"
        raise FieldError(reason, *path, "certificateRefs")
    for key in tls.options:
        check_key(key, *path, "options")


def _check_allowed(allowed: AllowedRoutes, *path: str | int) -> None:
    if allowed.namespaces.selector is not None:
        check_selector(allowed.namespaces.selector, *path, "namespaces", "selector")


def _check_addresses(addresses: Sequence[GatewayAddress]) -> None:
    path: Path = ("spec", "addresses")
    seen: dict[Hashable, int] = {}
    for index, address in enumerate(addresses):
        value = address.value
        if not value:
            continue
        if address.type == "Hostname":
            check_dns_subdomain(value.removeprefix("*."), *path, index, "value")
        if address.type not in ("Hostname", "IPAddress"):
            continue
        if index != (first := seen.setdefault((address.type, value), index)):
            reason = f"{quote(value)} is addresses[{first}] already"
            raise FieldError(reason, *path, index, "value")


def _check_infrastructure(given: Infrastructure) -> None:
    path = ("spec", "infrastructure")
    for key, value in given.labels.items():
        check_key(key, *path, "labels")
        check_label_value(value, *path, "labels", key)
    for key in given.annotations:
        check_key(key, *path, "annotations")
