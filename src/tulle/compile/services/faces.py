"""A Service → the addresses and ports that it answers on."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from tulle.model.kubernetes import Service

from .frontend import Face, Kind
from .wishes import addresses_of


def faces_of(service: Service) -> tuple[Face, ...]:
    """None of a service without a cluster IP, as in Kubernetes: it is headless, or was given none.

    An external address of a family that the service has not leads nowhere.
    """
    cluster_ips = addresses_of(service)
    families: list[int] = [address.version for address in cluster_ips]
    external = [(Kind.EXTERNAL_IP, ip_address(text)) for text in service.spec.external_ips]
    external += [
        (Kind.LOAD_BALANCER, ip_address(item.ip))
        for item in service.status.load_balancer.ingress
        if item.ip and item.ip_mode == "VIP" and service.spec.type == "LoadBalancer"
    ]
    faces = [
        Face(kind, address, address.version, port.port, port.protocol, port.port)
        for kind, address in (*((Kind.CLUSTER_IP, item) for item in cluster_ips), *external)
        if address.version in families
        for port in service.spec.ports
    ]
    return (*faces, *_node_ports(service, families))


def _node_ports(service: Service, families: list[int]) -> Iterator[Face]:
    if service.spec.type not in ("NodePort", "LoadBalancer"):
        return
    for port in service.spec.ports:
        if port.node_port:
            for family in families:
                yield Face(Kind.NODE_PORT, None, family, port.node_port, port.protocol, port.port)
