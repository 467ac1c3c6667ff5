"""Two nodes, a and b, with a server on each, and who asks them: what tests of services stand on.

Servers are Pods `here` on a and `there` on b, clients the workload `client` and a process of the
node, both on a, and `outside`, a host beside the mesh. Of every kind of service there is one for
each server.
"""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.mesh import Cluster, Json, tulle, wait_for
from tests.e2e.probes import PROBE, SERVED, Probes

SERVERS = {"here": "a", "there": "b"}
NODE_PORTS = {"here": 30001, "there": 30002}
HOST_PORTS = {"here": 8801, "there": 8802}
POOL = {4: "192.0.2.0/24", 6: "2001:db8:7a11::/112"}
PORT = 80
OUTSIDE = {4: "192.168.96.1", 6: "fd00:7a11:1::1"}


class Field:
    """Everything is in the namespace `shop`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.nodes = {short: listed_addresses(node.name) for short, node in cluster.nodes.items()}
        for family, network in POOL.items():
            self.route_outside(network, "a", family)
        cluster.apply(
            pool(),
            *(
                pod(name, cluster[node].name, HOST_PORTS[name], role="server")
                for name, node in SERVERS.items()
            ),
            *(item for name in SERVERS for item in services(name)),
        )
        client = cluster["a"]
        client.run("client", "sleep", "inf")
        wait_for(lambda: all(map(self._is_served, SERVERS)), timeout_s=20)
        self.pods = {
            item["name"]: by_family(item["addresses"])
            for node in cluster.nodes.values()
            for item in node.get("endpoints")
        }
        self.probes = Probes(
            {
                "client": client.spawn("client", *PROBE, "ask"),
                "host": client.spawn_host(*PROBE, "ask"),
                "outside": cluster.spawn_outside(*PROBE, "ask"),
            }
        )

    def _server(self, name: str, node: str) -> Json:
        return pod(name, self.cluster[node].name, HOST_PORTS[name], role="server")

    def _is_served(self, name: str) -> bool:
        """Every node has both families' backends of the server."""
        wanted = f"cluster-{name}"
        return all(
            len(item["backends"]) == 4  # two protocols
            for node in self.cluster.nodes.values()
            for item in node.get("services")
            if item["name"] == wanted
        )

    def route_outside(self, network: str, node: str, family: int) -> None:
        gateway = self.nodes[node][family]
        self.cluster.outside("ip", "route", "replace", network, "via", gateway)

    def address_of(self, service: str, field: str, family: int) -> str:
        """One of `cluster_ips` or `external_ips`, as node a sees it."""
        [found] = [item for item in self.cluster["a"].get("services") if item["name"] == service]
        return by_family(found[field])[family]


def by_family(texts: list[str]) -> dict[int, str]:
    return {6 if ":" in text else 4: text for text in texts}


def listed_addresses(node: str) -> dict[int, str]:
    """Of its uplink."""
    listed = json.loads(tulle("lab", "list", "-o", "json"))["items"]
    return next(by_family(item["addresses"]) for item in listed if item["name"] == node)


def pod(name: str, node: str, host_port: int | None = None, **labels: str) -> Json:
    """A Pod that serves on SERVED with its name, and is ready once it does."""
    ports: list[Json] = [
        {"name": protocol.lower(), "containerPort": SERVED, "protocol": protocol}
        for protocol in ("TCP", "UDP")
    ]
    if host_port is not None:
        ports = [port | {"hostPort": host_port} for port in ports]
    container = {
        "name": "c",
        "command": [*PROBE, "serve", name],
        "ports": ports,
        "readinessProbe": {"tcpSocket": {"port": SERVED}},
    }
    meta = {"name": name, "namespace": "shop", "labels": {"app": name, **labels}}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def services(name: str) -> list[Json]:
    """One of every kind that leads to the server."""
    return [
        service(f"cluster-{name}", name),
        service(f"port-{name}", name, node_port=NODE_PORTS[name], type="NodePort"),
        service(f"balancer-{name}", name, type="LoadBalancer"),
        service(f"headless-{name}", name, clusterIP="None"),
    ]


def service(name: str, app: str, node_port: int | None = None, **spec: Any) -> Json:
    ports: list[Json] = [
        {"name": protocol.lower(), "port": PORT, "targetPort": SERVED, "protocol": protocol}
        for protocol in ("TCP", "UDP")
    ]
    if node_port is not None:
        ports = [port | {"nodePort": node_port} for port in ports]
    both = {"ipFamilyPolicy": "RequireDualStack", "ports": ports, "selector": {"app": app}}
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {**both, **spec}}


def pool() -> Json:
    blocks = [{"cidr": network} for network in POOL.values()]
    meta = {"name": "pool"}
    kind, version = "CiliumLoadBalancerIPPool", "cilium.io/v2"
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": {"blocks": blocks}}
