"""Objects that come, change and go in an API server as in a busy cluster, none of which may matter.

A pretended node has Pods and services of its own; policies are about others than those who speak,
or admit them too. What is there at the end is decided by the seed alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from tests.e2e.mesh import admit, policy
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.errors import NotFound

Json = dict[str, Any]
FAR = "far"  # the pretended node, and its namespace
_CORE = "/api/v1/namespaces"
_SLICES = "/apis/discovery.k8s.io/v1beta1/namespaces"
_POLICIES = "/apis/networking.k8s.io/v1/namespaces"
_COUNT = 12  # of each kind


def pod(name: str, namespace: str, node: str, **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "none"}]},
    }


def running(*addresses: str) -> Json:
    ips = [{"ip": address} for address in addresses]
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": addresses[0], "podIPs": ips, "conditions": ready}
    return {"status": status}


def listing(name: str, namespace: str, of: str, endpoints: Iterable[tuple[str, str]]) -> Json:
    """A slice as an API server of 1.20 has it, of (address, node)."""
    return {
        "apiVersion": "discovery.k8s.io/v1beta1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": of},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True},
                "topology": {"kubernetes.io/hostname": node},
            }
            for address, node in endpoints
        ],
        "ports": [{"name": "p", "port": 8080, "protocol": "TCP"}],
    }


class Churn:
    """`client` reaches the API server itself."""

    def __init__(self, client: Client, seed: str) -> None:
        self._client, self._chance = client, random.Random(seed)
        self.changes = 0

    async def begin(self) -> None:
        addresses = [{"type": "InternalIP", "address": "192.168.96.200"}]
        node: Json = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": FAR, "labels": {"kubernetes.io/hostname": FAR}},
            "spec": {"podCIDR": "10.244.77.0/24", "podCIDRs": ["10.244.77.0/24"]},
        }
        await self._client.create("/api/v1/nodes", _json(node))
        status = {"status": {"addresses": addresses}}
        await self._client.merge_patch(f"/api/v1/nodes/{FAR}/status", _json(status))
        for number in range(_COUNT):
            await self._service(number)
            await self._pod(number)
            await self._policy(number)

    async def end(self) -> None:
        """What others would stumble over: the node."""
        await self._client.delete(f"/api/v1/nodes/{FAR}")

    async def change(self) -> None:
        """One thing."""
        ways: list[tuple[Callable[[int], Coroutine[Any, Any, None]], int]] = [
            (self._service, 3),
            (self._slice, 4),
            (self._pod, 4),
            (self._policy, 3),
            (self._label, 1),
            (self._touch, 1),
        ]
        [(way, _)] = self._chance.choices(ways, [weight for _, weight in ways])
        await way(self._chance.randrange(_COUNT))
        self.changes += 1

    async def _service(self, number: int) -> None:
        path, name = f"{_CORE}/{FAR}/services", f"s{number}"
        port = {"name": "p", "port": self._chance.randrange(1, 60_000), "targetPort": 8080}
        spec = {"ports": [port], "selector": {"app": f"app{number % 3}"}}
        wanted = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        if await self._goes(f"{path}/{name}"):
            return
        if not await self._patched(f"{path}/{name}", {"spec": {"ports": [port]}}):
            await self._client.create(path, _json(wanted))

    async def _slice(self, number: int) -> None:
        path, name = f"{_SLICES}/{FAR}/endpointslices", f"s{number}-1"
        count = self._chance.randrange(4)
        ends = [(f"10.244.77.{self._chance.randrange(2, 2 + _COUNT)}", FAR) for _ in range(count)]
        wanted = listing(name, FAR, f"s{number}", sorted(set(ends)))
        if await self._goes(f"{path}/{name}"):
            return
        if not await self._patched(f"{path}/{name}", {"endpoints": wanted["endpoints"]}):
            await self._client.create(path, _json(wanted))

    async def _pod(self, number: int) -> None:
        path, name = f"{_CORE}/{FAR}/pods", f"p{number}"
        labels = {"app": f"app{self._chance.randrange(3)}", "v": str(self._chance.randrange(3))}
        if await self._goes(f"{path}/{name}", b'{"gracePeriodSeconds": 0}'):
            return
        if not await self._patched(f"{path}/{name}", {"metadata": {"labels": labels}}):
            await self._client.create(path, _json(pod(name, FAR, FAR, **labels)))
            status = running(f"10.244.77.{2 + number}")
            await self._client.merge_patch(f"{path}/{name}/status", _json(status))

    async def _policy(self, number: int) -> None:
        path, name = f"{_POLICIES}/shop/networkpolicies", f"n{number}"
        if number % 2:
            others = self._chance.sample(["one", "two", "three"], self._chance.randrange(3))
            wanted = admit(name, "web", "client", *others)
        else:
            peer = {"namespaceSelector": {"matchLabels": {"tier": str(self._chance.randrange(3))}}}
            wanted = policy(name, "nobody", ingress=[{"from": [peer]}])
        if await self._goes(f"{path}/{name}"):
            return
        if not await self._patched(f"{path}/{name}", {"spec": wanted["spec"]}):
            await self._client.create(path, _json(wanted))

    async def _label(self, number: int) -> None:
        """A namespace becomes another, and so does the identity of all in it."""
        labels = {"tier": str(number % 3)}
        await self._patched(f"{_CORE}/{FAR}", {"metadata": {"labels": labels}})

    async def _touch(self, number: int) -> None:
        """What speaks is told anew, and nothing of it has changed that counts."""
        touched = {"metadata": {"annotations": {"touched": str(number)}}}
        await self._patched(f"{_CORE}/shop/services/web", touched)
        await self._patched(f"{_SLICES}/shop/endpointslices/web-1", touched)

    async def _goes(self, path: str, body: bytes = b"") -> bool:
        """Whether it was there and the lot fell on its end."""
        if self._chance.random() >= 0.3:
            return False
        try:
            await self._client.delete(path, body)
        except NotFound:
            return False
        return True

    async def _patched(self, path: str, patch: Json) -> bool:
        try:
            await self._client.merge_patch(path, _json(patch))
        except NotFound:
            return False
        return True


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
