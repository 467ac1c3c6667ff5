"""Rules of core/v1 Node."""

from __future__ import annotations

import msgspec

from tulle.model.kubernetes import NodeAddress, NodeObject

from .fields import FieldError
from .syntax import parse_address, parse_cidr

ADDRESS_TYPES = ("InternalIP", "ExternalIP")  # the others name no address


def validate_node(node: NodeObject) -> NodeObject:
    """`podCIDRs` are always given afterwards if there are any; all is in canonical form."""
    spec = node.spec
    given = spec.pod_cidrs or ((spec.pod_cidr,) if spec.pod_cidr else ())
    where = ("spec", "podCIDRs") if spec.pod_cidrs else ("spec",)
    if spec.pod_cidr and spec.pod_cidr != given[0]:
        raise FieldError("must be the first of podCIDRs", "spec", "podCIDR")
    cidrs = [
        parse_cidr(text, *where, index if spec.pod_cidrs else "podCIDR")
        for index, text in enumerate(given)
    ]
    if len({item.version for item in cidrs}) != len(cidrs):
        raise FieldError("must hold one CIDR a family at most", "spec", "podCIDRs")
    texts = tuple(map(str, cidrs))
    spec = msgspec.structs.replace(spec, pod_cidr=texts[0] if texts else "", pod_cidrs=texts)
    addresses = tuple(
        _address(item, "status", "addresses", index)
        for index, item in enumerate(node.status.addresses)
    )
    status = msgspec.structs.replace(node.status, addresses=addresses)
    return msgspec.structs.replace(node, spec=spec, status=status)


def _address(item: NodeAddress, *path: str | int) -> NodeAddress:
    if item.type not in ADDRESS_TYPES:
        return item
    address = parse_address(item.address, *path, "address")
    return msgspec.structs.replace(item, address=str(address))
