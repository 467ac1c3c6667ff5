"""What one Service says about its addresses and ports, and where its name points for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import HEADLESS, LB_ADDRESSES_ANNOTATIONS, ObjectRef, Service
from tulle.model.world import IPAddress, IPNetwork

from ..parts import digest64


@dataclass(frozen=True, slots=True)
class Wish:
    """`families` (4, 6) stand in the service's own order; none: it has no address of its own.

    A point is a digest, the same on every node: where to look for a free place first.
    """

    ref: ObjectRef
    families: tuple[int, ...]
    given: Mapping[int, IPAddress]  # family → the cluster IP that somebody wrote
    points: tuple[int, ...]  # per family
    port_points: tuple[int | None, ...]  # per port if it has node ports; None: none is given out
    asked: tuple[str, ...] = ()  # addresses that it wants of a load balancer
    ingress: tuple[str, ...] = ()  # those that a load balancer gave it already


def wish_of(service: Service, ranges: Sequence[IPNetwork]) -> Wish:
    spec, ref = service.spec, ref_of(service)
    if spec.cluster_ip == HEADLESS:
        return Wish(ref, (), {}, (), ())
    name = f"{ref.namespace}/{ref.name}"
    given: dict[int, IPAddress] = {item.version: item for item in addresses_of(service)}
    families = _families(ranges, service, tuple(given))
    balanced = spec.type == "LoadBalancer"
    ported = spec.ports if balanced or spec.type == "NodePort" else ()
    given_out = not balanced or spec.allocate_load_balancer_node_ports
    ingress = service.status.load_balancer.ingress if balanced else ()
    return Wish(
        ref,
        families,
        given,
        tuple(digest64(f"{name}/{family}".encode()) for family in families),
        # Without the protocol, so that DNS over UDP and over TCP come to one number.
        tuple(digest64(f"{name}:{item.port}".encode()) if given_out else None for item in ported),
        _asked(service) if balanced else (),
        tuple(item.ip for item in ingress if item.ip),
    )


def addresses_of(service: Service) -> tuple[IPAddress, ...]:
    spec = service.spec
    named = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return tuple(_address(item) for item in named if item != HEADLESS)


@lru_cache(1 << 16)  # asked again for every service at every change
def _address(text: str) -> IPAddress:
    return ip_address(text)


def _asked(service: Service) -> tuple[str, ...]:
    annotations = service.metadata.annotations
    for name in LB_ADDRESSES_ANNOTATIONS:
        if name in annotations:
            return tuple(text.strip() for text in annotations[name].split(","))
    return (service.spec.load_balancer_ip,) if service.spec.load_balancer_ip else ()


def _families(
    ranges: Sequence[IPNetwork], service: Service, given: tuple[int, ...]
) -> tuple[int, ...]:
    """Kubernetes' rule: one family unless the service asks for both, its own order kept."""
    spec = service.spec
    policy = spec.ip_family_policy
    named = [*given, *(int(family[-1]) for family in spec.ip_families)]
    found = list(named)
    if not found or policy == "PreferDualStack":
        found += [network.version for network in ranges]
    if policy == "RequireDualStack":
        found += [network.version for network in ranges] + [4, 6]
    found = list(dict.fromkeys(found))
    several = policy in ("PreferDualStack", "RequireDualStack") or (policy is None and bool(named))
    return tuple(found if several else found[:1])
