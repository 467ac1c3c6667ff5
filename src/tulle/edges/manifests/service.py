"""Rules of core/v1 Service."""

from __future__ import annotations

import msgspec

from tulle.model.kubernetes import (
    HEADLESS,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)

from .external import validate_external
from .fields import FieldError
from .syntax import check_absent, check_dns_label, check_labels, check_port_name, parse_address

_UNSUPPORTED = {
    "external_name": "externalName",
    "load_balancer_class": "loadBalancerClass",
    "health_check_node_port": "healthCheckNodePort",
}


def validate_service(service: Service) -> Service:
    """`clusterIP` and `clusterIPs` agree afterwards; a headless service has no `clusterIPs`.

    A status is dropped: it speaks of the cluster that the manifest was taken from.
    """
    spec = service.spec
    if spec.type == "ExternalName":
        raise FieldError("ExternalName is not supported yet: it needs DNS", "spec", "type")
    check_absent(spec, _UNSUPPORTED, "spec")
    if spec.session_affinity == "None" and spec.session_affinity_config != SessionAffinityConfig():
        raise FieldError("needs sessionAffinity: ClientIP", "spec", "sessionAffinityConfig")
    check_labels(spec.selector, "spec", "selector")
    addresses = _cluster_ips(spec)
    headless = addresses == (HEADLESS,)
    if headless and spec.type != "ClusterIP":
        raise FieldError(f"None is not possible with type {spec.type}", "spec", "clusterIP")
    if not spec.ports and not headless:
        raise FieldError("needs at least one port", "spec", "ports")
    _check_ports(spec)
    spec = msgspec.structs.replace(
        spec,
        cluster_ip=addresses[0] if addresses else "",
        cluster_ips=() if headless else addresses,
    )
    spec = validate_external(spec, service.metadata.annotations)
    return msgspec.structs.replace(service, spec=spec, status=ServiceStatus())


def _check_ports(spec: ServiceSpec) -> None:
    names: dict[str, int] = {}
    numbers: dict[tuple[int, str], int] = {}
    node_ports: dict[tuple[int, str], int] = {}
    for index, port in enumerate(spec.ports):
        path = ("spec", "ports", index)
        if port.name:
            check_dns_label(port.name, *path, "name")
        elif len(spec.ports) > 1:
            raise FieldError("is required when there is more than one port", *path, "name")
        if index != (first := names.setdefault(port.name, index)):
            raise FieldError(f"is the same as that of ports[{first}]", *path, "name")
        if index != (first := numbers.setdefault((port.port, port.protocol), index)):
            raise FieldError(
                f"{port.port}/{port.protocol} is ports[{first}] already", *path, "port"
            )
        if port.protocol == "SCTP":
            raise FieldError("SCTP is not supported yet, TCP and UDP are", *path, "protocol")
        if isinstance(port.target_port, str):
            check_port_name(port.target_port, *path, "targetPort")
        _check_node_port(spec, port, node_ports, index)


def _check_node_port(
    spec: ServiceSpec, port: ServicePort, seen: dict[tuple[int, str], int], index: int
) -> None:
    if port.node_port is None:
        return
    path = ("spec", "ports", index, "nodePort")
    if spec.type not in ("NodePort", "LoadBalancer"):
        raise FieldError("needs type NodePort or LoadBalancer", *path)
    if index != (first := seen.setdefault((port.node_port, port.protocol), index)):
        raise FieldError(f"{port.node_port}/{port.protocol} is that of ports[{first}]", *path)


def _cluster_ips(spec: ServiceSpec) -> tuple[str, ...]:
    """Canonical `clusterIPs`, or ("None",) for headless, or () for those to be allocated."""
    given = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    if spec.cluster_ip and given[0] != spec.cluster_ip:
        raise FieldError("must be the first of clusterIPs", "spec", "clusterIP")
    where = ("clusterIPs", 0) if spec.cluster_ips else ("clusterIP",)
    families = spec.ip_families
    if len(set(families)) != len(families):
        raise FieldError("must not name a family twice", "spec", "ipFamilies")
    if HEADLESS in given:
        if len(given) > 1:
            raise FieldError("None must stand alone", "spec", *where)
        return given
    addresses = [
        parse_address(text, "spec", *((where[0], index) if spec.cluster_ips else where))
        for index, text in enumerate(given)
    ]
    own = [f"IPv{address.version}" for address in addresses]
    if len(set(own)) != len(own):
        raise FieldError("must hold one address a family at most", "spec", "clusterIPs")
    if families and own != list(families[: len(own)]):
        raise FieldError(f"does not agree with the address {addresses[0]}", "spec", "ipFamilies")
    if spec.ip_family_policy == "SingleStack" and max(len(own), len(families)) > 1:
        raise FieldError("SingleStack allows one family only", "spec", "ipFamilyPolicy")
    return tuple(str(address) for address in addresses)
