"""Rules of core/v1 Service."""

from __future__ import annotations

import msgspec

from tulle.model.kubernetes import (
    HEADLESS,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
)

from .fields import FieldError
from .syntax import check_absent, check_dns_label, check_labels, check_port_name, parse_address

_UNSUPPORTED = {
    "external_traffic_policy": "externalTrafficPolicy",
    "external_ips": "externalIPs",
    "external_name": "externalName",
    "load_balancer_ip": "loadBalancerIP",
    "load_balancer_class": "loadBalancerClass",
    "load_balancer_source_ranges": "loadBalancerSourceRanges",
    "allocate_load_balancer_node_ports": "allocateLoadBalancerNodePorts",
    "health_check_node_port": "healthCheckNodePort",
    "traffic_distribution": "trafficDistribution",
}


def validate_service(service: Service) -> Service:
    """`clusterIP` and `clusterIPs` agree afterwards; a headless service has no `clusterIPs`."""
    spec = service.spec
    if spec.type != "ClusterIP":
        raise FieldError(f"{spec.type} is not supported yet, only ClusterIP is", "spec", "type")
    check_absent(spec, _UNSUPPORTED, "spec")
    if spec.internal_traffic_policy != "Cluster":
        raise FieldError("Local is not supported yet", "spec", "internalTrafficPolicy")
    if spec.session_affinity == "None" and spec.session_affinity_config != SessionAffinityConfig():
        raise FieldError("needs sessionAffinity: ClientIP", "spec", "sessionAffinityConfig")
    check_labels(spec.selector, "spec", "selector")
    addresses = _cluster_ips(spec)
    if not spec.ports and addresses != (HEADLESS,):
        raise FieldError("needs at least one port", "spec", "ports")
    _check_ports(spec.ports)
    headless = addresses == (HEADLESS,)
    spec = msgspec.structs.replace(
        spec,
        cluster_ip=addresses[0] if addresses else "",
        cluster_ips=() if headless else addresses,
    )
    return msgspec.structs.replace(service, spec=spec)


def _check_ports(ports: tuple[ServicePort, ...]) -> None:
    names: dict[str, int] = {}
    numbers: dict[tuple[int, str], int] = {}
    for index, port in enumerate(ports):
        path = ("spec", "ports", index)
        if port.name:
            check_dns_label(port.name, *path, "name")
        elif len(ports) > 1:
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
        check_absent(port, {"node_port": "nodePort"}, *path)


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
