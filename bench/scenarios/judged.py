"""Rules of HTTP, judged by the kernel at the server's socket and by Envoys that have the same ones.

Of so many rules one allows what the load asks for; each of the others allows another path.
"""

from __future__ import annotations

import json
from typing import Any

from bench import kubeproxy, nginx
from bench.load import Target
from bench.namespaces import SetupError, command
from bench.suite import Cores

from .mesh import SERVED, TulleNodes
from .tulle import Tulle

Json = dict[str, Any]
IN_KERNEL = 2
AT_ONCE = 250  # rules in one list, which must not be longer than 256
_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"


def rules(count: int) -> list[Json]:
    """As a CiliumNetworkPolicy words them."""
    others = [f"/other/{number}/.*" for number in range(count - 1)]
    return [{"method": "GET", "path": path} for path in ("/", *others)]


def rbac(count: int) -> Json:
    """The same as a filter of Envoy's."""
    allowed = [_permission(f"/other/{number}/") for number in range(count - 1)]
    allowed.append({"url_path": {"path": {"exact": "/"}}})
    get = {"header": {"name": ":method", "string_match": {"exact": "GET"}}}
    policies = {
        f"rule-{number}": {
            "permissions": [{"and_rules": {"rules": [get, item]}}],
            "principals": [{"any": True}],
        }
        for number, item in enumerate(allowed)
    }
    config = {"@type": f"type.googleapis.com/{_RBAC}", "rules": {"policies": policies}}
    return {"name": "envoy.filters.http.rbac", "typed_config": config}


def _permission(prefix: str) -> Json:
    return {"url_path": {"path": {"prefix": prefix}}}


def policy(port: int, count: int) -> Json:
    """Who may ask the server, and for what."""
    wanted, ports = rules(count), [{"port": str(port), "protocol": "TCP"}]
    parts = [wanted[start : start + AT_ONCE] for start in range(0, count, AT_ONCE)]
    to_ports = [{"ports": ports, "rules": {"http": part}} for part in parts]
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "requests"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "web"}},
            "ingress": [
                {"fromEndpoints": [{"matchLabels": {"app": "client"}}], "toPorts": to_ports}
            ],
        },
    }


def _expect_in_kernel(*tulle: str) -> None:
    """SetupError if anybody but the kernel is to judge the requests."""
    listed = json.loads(command(*tulle, "get", "rungs", "-o", "json"))["items"]
    found = {row["rung"]: row["why"] for row in listed if row["set"]}
    if list(found) != [IN_KERNEL]:
        raise SetupError(f"the requests' rules are not the kernel's: {found}")


def _with_requests(objects: list[Json], wanted: Json) -> list[Json]:
    """The policy in the place of the server's own, which would allow all requests."""
    kept = [item for item in objects if _selected(item) != {"app": "web"}]
    return [*kept, wanted]


def _selected(item: Json) -> object:
    return item["spec"].get("podSelector", {}).get("matchLabels")


class Judged(Tulle):
    """On one node; the client asks the service, as in `tulle-l4`."""

    def __init__(self, name: str, count: int) -> None:
        """`count` is of rules."""
        super().__init__(name, 1, "--stream")
        self._rules = count

    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        _expect_in_kernel(*self._tulle())
        return target

    def _manifests(self, services: list[kubeproxy.Service]) -> list[Json]:
        return _with_requests(super()._manifests(services), policy(nginx.PORT, self._rules))


class JudgedNodes(TulleNodes):
    """The server is on the second node, whose kernel judges."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__(name, "--stream")
        self._rules = count

    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        _expect_in_kernel(*self._tulle("b"))
        return target

    def _manifests(self) -> list[Json]:
        return _with_requests(super()._manifests(), policy(SERVED.http_port, self._rules))
