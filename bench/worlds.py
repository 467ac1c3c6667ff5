"""A large mesh, made up: Services with EndpointSlices, policies, and the files of other nodes.

The same size gives the same world. All is as Kubernetes would have it: every pod is an endpoint of
some services, has labels of which policies look at two, and lives in its node's pod range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tulle.agent.published import NodeState, decode, world_node
from tulle.edges.manifests import parse
from tulle.edges.manifests.directory import Snapshot
from tulle.edges.manifests.settle import Settlement
from tulle.model.kubernetes import EndpointSlice, Namespace, NetworkPolicy, Service
from tulle.model.world import Node, World

Json = dict[str, Any]

_PER_FILE = 500  # objects of a `kind: List`


@dataclass(frozen=True)
class Size:
    """How much of everything; `apps` are told apart by policies in each namespace."""

    services: int = 10_000
    endpoints: int = 10  # of each service
    pods: int = 50_000  # on other nodes
    nodes: int = 100
    namespaces: int = 50
    apps: int = 100
    policies: int = 1_000

    @property
    def identities(self) -> int:
        return self.namespaces * self.apps


SMALL = Size(services=50, endpoints=3, pods=200, nodes=4, namespaces=4, apps=5, policies=12)


def manifests(size: Size) -> Iterator[tuple[str, bytes]]:
    """File names and contents: every EndpointSlice has a file of its own."""
    namespaces = [_namespace(index) for index in range(size.namespaces)]
    yield from _lists("namespaces", namespaces)
    yield from _lists("services", [service(size, index) for index in range(size.services)])
    yield from _lists("policies", [policy(size, index) for index in range(size.policies)])
    for index in range(size.services):
        yield slice_file(index), encode(endpoint_slice(size, index))


def node_files(size: Size) -> Iterator[tuple[str, bytes]]:
    for index in range(size.nodes):
        yield f"{node_name(index)}.json", encode(node_file(size, index))


def world(size: Size) -> World:
    """The same as a node reads it that has no workloads of its own."""
    files = {name: parse(data, name) for name, data in manifests(size)}
    settled = Settlement()
    settled.read_anew(files, whole=True)
    snapshot = Snapshot(settled.kinds, tuple(settled.refusals()))
    assert not snapshot.refusals, snapshot.refusals[0]
    states = {name.removesuffix(".json"): data for name, data in node_files(size)}
    others: dict[str, NodeState] = {name: decode(data, name) for name, data in states.items()}
    return World(
        node=Node("here"),
        nodes={name: world_node(state.node) for name, state in others.items()},
        namespaces=snapshot.named(Namespace),
        remote={name: state.workloads for name, state in others.items()},
        services=snapshot.of(Service),
        slices=snapshot.of(EndpointSlice),
        policies=snapshot.of(NetworkPolicy),
    )


def slice_file(index: int) -> str:
    return f"slice-{index:05}.json"


def service_address(index: int) -> str:
    return f"10.96.{128 + index // 250}.{1 + index % 250}"


def service(size: Size, index: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"service-{index}", "namespace": namespace_of(size, index)},
        "spec": {
            "clusterIP": service_address(index),
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def endpoint_slice(size: Size, index: int, ready: bool = True) -> Json:
    """`ready` is that of its first endpoint."""
    pods = [(index * size.endpoints + offset) % size.pods for offset in range(size.endpoints)]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"service-{index}-x7k2q",
            "namespace": namespace_of(size, index),
            "labels": {"kubernetes.io/service-name": f"service-{index}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [_endpoint(size, pod, ready or pod != pods[0]) for pod in pods],
    }


def policy(size: Size, index: int) -> Json:
    """Selects a tenth of its namespace's apps; admits some apps of two namespaces to a port."""
    apps = [f"app-{(index * 7 + step) % size.apps}" for step in range(max(1, size.apps // 10))]
    other = _name("team", (index * 13 + 1) % size.namespaces)
    team = {"matchLabels": {"kubernetes.io/metadata.name": other}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"policy-{index}", "namespace": namespace_of(size, index)},
        "spec": {
            "podSelector": _any_of("app", apps),
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {"podSelector": {"matchLabels": {"app": f"app-{index % size.apps}"}}},
                        {"namespaceSelector": team, "podSelector": _any_of("app", apps[::2])},
                    ],
                    "ports": [{"port": 8080 + index % 3}],
                }
            ],
        },
    }


def too_many_blocks(count: int) -> Iterator[tuple[str, bytes]]:
    """Files of policies that name so many blocks of addresses, none of which is another's."""
    policies = []
    for start in range(0, count, _PER_FILE):
        blocks = [
            f"172.{16 + n // 65536}.{n // 256 % 256}.{n % 256}/32"
            for n in range(start, start + _PER_FILE)
        ]
        policies.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": f"blocks-{start:06}", "namespace": _name("team", 0)},
                "spec": {
                    "podSelector": {},
                    "policyTypes": ["Egress"],
                    "egress": [{"to": [{"ipBlock": {"cidr": block}} for block in blocks]}],
                },
            }
        )
    for number, item in enumerate(policies):
        yield f"blocks-{number:03}.json", encode(item)


def node_file(size: Size, index: int, ready: bool = True) -> Json:
    """What the node tells of itself and its pods; `ready` is that of its first pod."""
    cidr = f"10.{128 + index // 64}.{index % 64 * 4}.0/22"
    pods = range(index, size.pods, size.nodes)
    return {
        "node": {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": node_name(index),
                "labels": {"topology.kubernetes.io/zone": _name("zone", index % 3)},
            },
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
            "status": {"addresses": [{"address": _node_address(index), "type": "InternalIP"}]},
        },
        "pods": [pod(size, number, ready or number != pods[0]) for number in pods],
    }


def node_name(index: int) -> str:
    return _name("node", index)


def pod_address(size: Size, number: int) -> str:
    node, place = number % size.nodes, number // size.nodes + 2
    return f"10.{128 + node // 64}.{node % 64 * 4 + place // 250}.{1 + place % 250}"


def encode(document: Json) -> bytes:
    return msgspec.json.encode(document)


def _lists(name: str, items: list[Json]) -> Iterator[tuple[str, bytes]]:
    for start in range(0, len(items), _PER_FILE):
        document = {"apiVersion": "v1", "kind": "List", "items": items[start : start + _PER_FILE]}
        yield f"{name}-{start:05}.json", encode(document)


def _namespace(index: int) -> Json:
    name = _name("team", index)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def namespace_of(size: Size, index: int) -> str:
    return _name("team", index % size.namespaces)


def _endpoint(size: Size, pod: int, ready: bool) -> Json:
    node = pod % size.nodes
    return {
        "addresses": [pod_address(size, pod)],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": node_name(node),
        "zone": _name("zone", node % 3),
        "targetRef": {"kind": "Pod", "name": f"pod-{pod}", "namespace": namespace_of(size, pod)},
    }


def pod(size: Size, number: int, ready: bool) -> Json:
    app = f"app-{number // size.namespaces % size.apps}"
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": namespace_of(size, number),
            "labels": {"app": app, "pod-template-hash": f"{number % 977:05x}"},
        },
        "spec": {
            "nodeName": node_name(number % size.nodes),
            "containers": [
                {"name": "main", "ports": [{"name": "http", "containerPort": 8080}]},
            ],
        },
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": pod_address(size, number)}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def _node_address(index: int) -> str:
    return f"192.168.{104 + index // 200}.{1 + index % 200}"


def _any_of(key: str, values: list[str]) -> Json:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}


def _name(stem: str, index: int) -> str:
    return f"{stem}-{index:03}"
