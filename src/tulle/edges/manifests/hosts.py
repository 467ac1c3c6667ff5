"""Rules of MeshNode and MeshWorkload."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tulle.model.hosts import MeshNode, MeshWorkload, WorkloadPort
from tulle.model.world import IPAddress, IPNetwork

from .fields import FieldError
from .syntax import check_port_name, parse_address, parse_cidr


def validate_mesh_node(obj: MeshNode) -> MeshNode:
    """All is in canonical form afterwards. A status is dropped: Tulle says its own."""
    spec = obj.spec
    cidrs = [parse_cidr(text, "spec", "podCIDRs", i) for i, text in enumerate(spec.pod_cidrs)]
    _check_families(cidrs, "podCIDRs")
    spec = msgspec.structs.replace(
        spec, addresses=_addresses(spec.addresses), pod_cidrs=tuple(map(str, cidrs))
    )
    return msgspec.structs.replace(obj, spec=spec, status=None)


def validate_mesh_workload(obj: MeshWorkload) -> MeshWorkload:
    """As `validate_mesh_node`."""
    spec = obj.spec
    addresses = _addresses(spec.addresses)
    _check_families([parse_address(text) for text in addresses], "addresses")
    _check_ports(spec.ports)
    spec = msgspec.structs.replace(spec, addresses=addresses)
    return msgspec.structs.replace(obj, spec=spec, status=None)


def _addresses(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(parse_address(text, "spec", "addresses", i)) for i, text in enumerate(texts))


def _check_families(items: Sequence[IPAddress | IPNetwork], field: str) -> None:
    if len({item.version for item in items}) != len(items):
        raise FieldError("must hold one an address family at most", "spec", field)


def _check_ports(ports: Sequence[WorkloadPort]) -> None:
    names: dict[str, int] = {}
    for index, port in enumerate(ports):
        if not port.name:
            continue
        check_port_name(port.name, "spec", "ports", index, "name")
        if index != (first := names.setdefault(port.name, index)):
            raise FieldError(f"is that of ports[{first}]", "spec", "ports", index, "name")
