"""Which EndpointSlices tell of hosts' workloads: those that a Service selects. Pure.

An API server's own controllers list Pods only; its other slices of a Service are theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from tulle.compile.services.candidates import target_port
from tulle.model.kubernetes import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
    Service,
)
from tulle.model.world import Key, Workload

Json = dict[str, Any]

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "tulle.io"
_ENDPOINTS = 1000  # of a slice
_HOSTNAME, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_DIGEST_BYTES = 4


def slices_of(
    services: Mapping[Key, Service], hosted: Iterable[Workload], zones: Mapping[str, str]
) -> dict[Key, EndpointSlice]:
    """`hosted` are all hosts' workloads, `zones` are the hosts'."""
    found: dict[Key, EndpointSlice] = {}
    by_namespace: dict[str, list[Workload]] = defaultdict(list)
    for workload in sorted(hosted, key=lambda item: item.key):
        by_namespace[workload.namespace].append(workload)
    for (namespace, _), service in services.items():
        wanted = service.spec.selector.items()
        if wanted and namespace in by_namespace:
            chosen = [w for w in by_namespace[namespace] if wanted <= w.labels.items()]
            found |= _of_service(service, chosen, zones)
    return found


def _of_service(
    service: Service, workloads: Iterable[Workload], zones: Mapping[str, str]
) -> Iterator[tuple[Key, EndpointSlice]]:
    """Who has the same ports, by family, in pieces of a size that the API takes."""
    groups: dict[tuple[int, tuple[EndpointPort, ...]], list[Endpoint]] = defaultdict(list)
    for workload in workloads:
        ports = tuple(_ports(service, workload))
        families = service.spec.ip_families or ("IPv4", "IPv6")
        for address in workload.addresses:
            if f"IPv{address.version}" not in families:
                continue
            endpoint = Endpoint(
                (str(address),),
                EndpointConditions(ready=workload.ready),
                workload.node,
                zones.get(workload.node, ""),
            )
            groups[address.version, ports].append(endpoint)
    meta = service.metadata
    labels = {SERVICE_NAME_LABEL: meta.name, MANAGED_BY: MANAGER}
    for (version, ports), endpoints in groups.items():
        words = f"{version} {ports}".encode()
        digest = blake2b(words, digest_size=_DIGEST_BYTES).hexdigest()
        for start in range(0, len(endpoints), _ENDPOINTS):
            name = f"{meta.name}-tulle-{digest}-{start // _ENDPOINTS}"
            yield (
                (meta.namespace, name),
                EndpointSlice(
                    ObjectMeta(name, meta.namespace, labels),
                    "IPv4" if version == 4 else "IPv6",
                    tuple(endpoints[start : start + _ENDPOINTS]),
                    ports,
                ),
            )


def _ports(service: Service, workload: Workload) -> Iterator[EndpointPort]:
    """A name that the workload has not given to a port is none of its."""
    for port in service.spec.ports:
        number = target_port(workload, port)
        if number is not None and port.protocol != "SCTP":
            yield EndpointPort(number, port.name, port.protocol)


def is_of_hosts(obj: EndpointSlice) -> bool:
    """Whether `slices_of` made it."""
    return obj.metadata.labels.get(MANAGED_BY) == MANAGER


def says(have: EndpointSlice | None, wanted: EndpointSlice) -> bool:
    parts = ("address_type", "endpoints", "ports")
    return have is not None and all(getattr(have, p) == getattr(wanted, p) for p in parts)


def body_of(wanted: EndpointSlice, version: str, service: Service) -> Json:
    """As that version of the API has it. It goes with its Service, whoever deletes that."""
    made: Json = msgspec.to_builtins(wanted)
    if version.endswith("v1beta1"):
        made["endpoints"] = [_older(item) for item in made["endpoints"]]
    meta = service.metadata
    owner = {"apiVersion": "v1", "kind": "Service", "name": meta.name, "uid": meta.uid}
    metadata = {**made["metadata"], "ownerReferences": [owner]}
    return {**made, "metadata": metadata, "apiVersion": version, "kind": wanted.kind}


def _older(endpoint: Json) -> Json:
    places = {_HOSTNAME: endpoint.pop("nodeName", ""), _ZONE: endpoint.pop("zone", "")}
    return {**endpoint, "topology": {name: text for name, text in places.items() if text}}
