"""Rules of a core/v1 Service on how it is reached from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tulle.model.kubernetes import LB_ADDRESSES_ANNOTATIONS, ServiceSpec

from .fields import FieldError, Path
from .syntax import parse_address, parse_cidr

_ANNOTATIONS = ("metadata", "annotations")
RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
# Two services on one address of a pool.
_SHARING = ("lbipam.cilium.io/sharing-key", "lbipam.cilium.io/sharing-cross-namespace")


def validate_external(spec: ServiceSpec, annotations: Mapping[str, str]) -> ServiceSpec:
    """Addresses and ranges are in canonical form afterwards."""
    for name in _SHARING:
        if name in annotations:
            raise FieldError("is not supported yet", *_ANNOTATIONS, name)
    _check_balanced(spec, annotations)
    for name in LB_ADDRESSES_ANNOTATIONS:
        if name in annotations:
            _addresses(annotations[name].split(","), (*_ANNOTATIONS, name), numbered=False)
    external_ips = _addresses(spec.external_ips, ("spec", "externalIPs"))
    _check_policy(spec)
    balancer_ip = spec.load_balancer_ip
    if balancer_ip:
        balancer_ip = str(parse_address(balancer_ip, "spec", "loadBalancerIP"))
    return msgspec.structs.replace(
        spec,
        external_ips=external_ips,
        load_balancer_ip=balancer_ip,
        load_balancer_source_ranges=_source_ranges(spec, annotations),
    )


def _check_balanced(spec: ServiceSpec, annotations: Mapping[str, str]) -> None:
    if spec.type == "LoadBalancer":
        return
    for present, path in (
        (spec.load_balancer_ip, ("spec", "loadBalancerIP")),
        (spec.load_balancer_source_ranges, ("spec", "loadBalancerSourceRanges")),
        (
            not spec.allocate_load_balancer_node_ports,
            ("spec", "allocateLoadBalancerNodePorts"),
        ),
        *(
            (name in annotations, (*_ANNOTATIONS, name))
            for name in (*LB_ADDRESSES_ANNOTATIONS, RANGES_ANNOTATION)
        ),
    ):
        if present:
            raise FieldError("needs type LoadBalancer", *path)


def _check_policy(spec: ServiceSpec) -> None:
    if spec.external_traffic_policy == "Cluster" or spec.type != "ClusterIP" or spec.external_ips:
        return
    reason = "Local needs type NodePort or LoadBalancer, or externalIPs"
    raise FieldError(reason, "spec", "externalTrafficPolicy")


def _addresses(texts: Iterable[str], path: Path, numbered: bool = True) -> tuple[str, ...]:
    found: dict[str, int] = {}
    for index, text in enumerate(texts):
        place = (*path, index) if numbered else path
        address = str(parse_address(text.strip(), *place))
        if index != found.setdefault(address, index):
            raise FieldError(f"{address} stands there twice", *place)
    return tuple(found)


def _source_ranges(spec: ServiceSpec, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The field, or where that is empty the annotation that was there before it."""
    path: Path = ("spec", "loadBalancerSourceRanges")
    texts: Iterable[str] = spec.load_balancer_source_ranges
    if not texts and RANGES_ANNOTATION in annotations:
        path, texts = (
            (*_ANNOTATIONS, RANGES_ANNOTATION),
            annotations[RANGES_ANNOTATION].split(","),
        )
        return tuple(str(parse_cidr(text.strip(), *path)) for text in texts)
    return tuple(str(parse_cidr(text.strip(), *path, i)) for i, text in enumerate(texts))
