"""Rules of CiliumCIDRGroup, CiliumEgressGatewayPolicy and CiliumLoadBalancerIPPool."""

from __future__ import annotations

import msgspec

from tulle.model.cilium import (
    CiliumCIDRGroup,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    EgressGateway,
    EgressGatewaySelector,
    PoolBlock,
)

from .cilium_peers import OF_NODES, OF_OBJECTS, check_sourced
from .fields import FieldError, quote
from .syntax import check_selector, parse_address, parse_cidr


def validate_cidr_group(group: CiliumCIDRGroup) -> CiliumCIDRGroup:
    """CIDRs are in canonical form afterwards."""
    cidrs = _cidrs(group.spec.external_cidrs, "spec", "externalCIDRs")
    spec = msgspec.structs.replace(group.spec, external_cidrs=cidrs)
    return msgspec.structs.replace(group, spec=spec)


def validate_egress_gateway(policy: CiliumEgressGatewayPolicy) -> CiliumEgressGatewayPolicy:
    """CIDRs and the address are in canonical form afterwards."""
    spec = policy.spec
    if not spec.selectors:
        raise FieldError("needs at least one selector", "spec", "selectors")
    for index, selector in enumerate(spec.selectors):
        _check_chosen(selector, "spec", "selectors", index)
    if not spec.destination_cidrs:
        raise FieldError("needs at least one CIDR", "spec", "destinationCIDRs")
    spec = msgspec.structs.replace(
        spec,
        destination_cidrs=_cidrs(spec.destination_cidrs, "spec", "destinationCIDRs"),
        excluded_cidrs=_cidrs(spec.excluded_cidrs, "spec", "excludedCIDRs"),
        egress_gateway=_gateway(spec.egress_gateway, "spec", "egressGateway"),
    )
    return msgspec.structs.replace(policy, spec=spec)


def validate_pool(pool: CiliumLoadBalancerIPPool) -> CiliumLoadBalancerIPPool:
    """CIDRs and addresses are in canonical form afterwards, and every range has its `stop`."""
    if not pool.spec.blocks:
        raise FieldError("needs at least one block", "spec", "blocks")
    blocks = tuple(
        _block(block, "spec", "blocks", index) for index, block in enumerate(pool.spec.blocks)
    )
    if pool.spec.service_selector is not None:
        check_selector(pool.spec.service_selector, "spec", "serviceSelector")
    spec = msgspec.structs.replace(pool.spec, blocks=blocks)
    return msgspec.structs.replace(pool, spec=spec)


def _cidrs(texts: tuple[str, ...], *path: str | int) -> tuple[str, ...]:
    return tuple(str(parse_cidr(text, *path, index)) for index, text in enumerate(texts))


def _check_chosen(selector: EgressGatewaySelector, *path: str | int) -> None:
    if selector.pod_selector is None and selector.namespace_selector is None:
        raise FieldError("needs a podSelector or a namespaceSelector", *path)
    if selector.pod_selector is not None:
        check_sourced(selector.pod_selector, OF_OBJECTS, *path, "podSelector")
    if selector.namespace_selector is not None:
        check_selector(selector.namespace_selector, *path, "namespaceSelector")
    if selector.node_selector is not None:
        check_sourced(selector.node_selector, OF_NODES, *path, "nodeSelector")


def _gateway(gateway: EgressGateway, *path: str | int) -> EgressGateway:
    check_sourced(gateway.node_selector, OF_NODES, *path, "nodeSelector")
    if gateway.interface:
        reason = "is not supported: name one of the node's addresses in egressIP"
        raise FieldError(reason, *path, "interface")
    if not gateway.egress_ip:
        return gateway
    address = parse_address(gateway.egress_ip, *path, "egressIP")
    return msgspec.structs.replace(gateway, egress_ip=str(address))


def _block(block: PoolBlock, *path: str | int) -> PoolBlock:
    if bool(block.cidr) == bool(block.start):
        raise FieldError("needs a cidr, or a start and a stop", *path)
    if block.cidr:
        if block.stop:
            raise FieldError("cannot stand beside cidr", *path, "stop")
        return PoolBlock(cidr=str(parse_cidr(block.cidr, *path, "cidr")))
    first = parse_address(block.start, *path, "start")
    last = parse_address(block.stop or block.start, *path, "stop")
    if first.version != last.version or int(first) > int(last):
        raise FieldError(f"{quote(block.stop)} does not follow {first}", *path, "stop")
    return PoolBlock(start=str(first), stop=str(last))
