"""Rules of discovery.k8s.io/v1 EndpointSlice."""

from __future__ import annotations

import sys

import msgspec

from tulle.model.kubernetes import SERVICE_NAME_LABEL, Endpoint, EndpointPort, EndpointSlice

from .fields import FieldError, quote
from .syntax import check_dns_label, parse_address

_MAX_ENDPOINTS = 1000
_MAX_PORTS = 100
_MAX_HINTS = 8  # of each kind


def validate_slice(obj: EndpointSlice) -> EndpointSlice:
    """Addresses are in canonical form afterwards."""
    name = obj.metadata.labels.get(SERVICE_NAME_LABEL, "")
    if not name:
        reason = f"needs the label {SERVICE_NAME_LABEL}, which names the Service"
        raise FieldError(reason, "metadata", "labels")
    check_dns_label(name, "metadata", "labels", SERVICE_NAME_LABEL)
    if len(obj.endpoints) > _MAX_ENDPOINTS:
        raise FieldError(f"holds more than {_MAX_ENDPOINTS} endpoints", "endpoints")
    _check_ports(obj.ports)
    endpoints = tuple(
        _endpoint(endpoint, obj.address_type, index) for index, endpoint in enumerate(obj.endpoints)
    )
    return msgspec.structs.replace(obj, endpoints=endpoints)


def _endpoint(endpoint: Endpoint, family: str, index: int) -> Endpoint:
    addresses = []
    for position, text in enumerate(endpoint.addresses):
        path = ("endpoints", index, "addresses", position)
        address = parse_address(text, *path)
        if f"IPv{address.version}" != family:
            raise FieldError(f"{quote(text)} is not {family}, the slice's addressType", *path)
        addresses.append(str(address))
    _check_hints(endpoint, index)
    return msgspec.structs.replace(
        endpoint,
        addresses=tuple(addresses),
        # not acted on, or one text that all share: there may be 100,000 endpoints
        target_ref=None,
        deprecated_topology=None,
        node_name=sys.intern(endpoint.node_name),
        zone=sys.intern(endpoint.zone),
    )


def _check_hints(endpoint: Endpoint, index: int) -> None:
    path = ("endpoints", index, "hints")
    zones = [item.name for item in endpoint.hints.for_zones]
    nodes = [item.name for item in endpoint.hints.for_nodes]
    for name, given in (("forZones", zones), ("forNodes", nodes)):
        if len(given) > _MAX_HINTS:
            raise FieldError(f"holds more than {_MAX_HINTS} names", *path, name)
        for position, text in enumerate(given):
            if not text:
                raise FieldError("is required", *path, name, position, "name")


def _check_ports(ports: tuple[EndpointPort, ...]) -> None:
    if len(ports) > _MAX_PORTS:
        raise FieldError(f"holds more than {_MAX_PORTS} ports", "ports")
    names: dict[str, int] = {}
    for index, port in enumerate(ports):
        if port.port is None:
            raise FieldError("is required", "ports", index, "port")
        if port.name:
            check_dns_label(port.name, "ports", index, "name")
        if index != (first := names.setdefault(port.name, index)):
            raise FieldError(f"is the same as that of ports[{first}]", "ports", index, "name")
        if port.protocol == "SCTP":
            reason = "SCTP is not supported yet, TCP and UDP are"
            raise FieldError(reason, "ports", index, "protocol")
