"""Every comparison there is, in the order of the report. A later rung adds a line here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from .asker import Asked
from .flood import Flood
from .load import Phase, Requests
from .scenarios.judged import Judged, JudgedNodes, rbac
from .scenarios.mesh import TulleNodePort, TulleNodes
from .scenarios.nodes import NodePort, PlainNodes
from .scenarios.plain import Plain, iptables, nftables
from .scenarios.proxies import ByHand, Sidecars, TulleProxy
from .scenarios.short import PlainCore, Short
from .scenarios.tulle import Tulle
from .suite import PHASE_S, Metric, Suite

REQUESTS_1 = "requests, 1 connection"
REQUESTS_16 = "requests, 16 connections"
CONNECTS = "connects"
BULK = "bulk"
PACKETS = "packets"

_ONE_CONNECTION = Requests(REQUESTS_1, connections=1, keep_alive=True, seconds=PHASE_S)
_SIXTEEN = Requests(REQUESTS_16, connections=16, keep_alive=True, seconds=PHASE_S)
_P50 = Metric("p50", "p50", REQUESTS_1, "p50_us", "µs")
_RPS = Metric("rps", "requests/s", REQUESTS_16, "requests_per_s", "/s", more_is_better=True)

ONE_NODE = Suite(
    base="direct",
    scenarios={
        "direct": partial(Plain, "direct"),
        "direct-again": partial(Plain, "direct-again"),  # the same once more: its row is the noise
        "tulle-l4": partial(Tulle, "tulle-l4", 1),
        "tulle-l4-10000": partial(Tulle, "tulle-l4-10000", 10_000),
        "iptables-1": partial(iptables, 1),
        "iptables-10000": partial(iptables, 10_000),
        "nftables-1": partial(nftables, 1),
        "nftables-10000": partial(nftables, 10_000),
    },
    phases=(
        _ONE_CONNECTION,
        _SIXTEEN,
        Requests(CONNECTS, connections=16, keep_alive=False, seconds=PHASE_S),
    ),
    metrics=(
        _P50,
        Metric("p99", "p99", REQUESTS_1, "p99_us", "µs"),
        _RPS,
        Metric("connects", "connects/s", CONNECTS, "requests_per_s", "/s", more_is_better=True),
        Metric("cpu", "CPU", REQUESTS_16, "cpu_us_per_request", "µs"),
    ),
    headline=("p50", "rps", "connects"),
)

_HTTP = partial(
    Suite,
    phases=(_ONE_CONNECTION, _SIXTEEN),
    metrics=(_P50, _RPS, Metric("cpu", "CPU", REQUESTS_16, "cpu_us_per_request", "µs")),
    headline=("p50", "rps", "cpu"),
)

PROXY = _HTTP(
    base="no-proxy",
    scenarios={
        "no-proxy": partial(Plain, "no-proxy"),
        "no-proxy-again": partial(Plain, "no-proxy-again"),
        "envoy-by-hand": partial(ByHand, "envoy-by-hand"),
        "tulle-proxy": partial(TulleProxy, "tulle-proxy", 1),
        "two-sidecars": partial(Sidecars, "two-sidecars"),
    },
)
STREAM = _HTTP(
    base="unjudged",
    scenarios={
        "unjudged": partial(Plain, "unjudged"),
        "unjudged-again": partial(Plain, "unjudged-again"),
        "tulle-l4-alone": partial(Tulle, "tulle-l4-alone", 1),
        "tulle-short-nginx": partial(Tulle, "tulle-short-nginx", 1, "--short-circuit"),
        "tulle-http-1": partial(Judged, "tulle-http-1", 1),
        "tulle-http-100": partial(Judged, "tulle-http-100", 100),
        "tulle-http-1000": partial(Judged, "tulle-http-1000", 1000),
        "envoy-rbac-100": partial(ByHand, "envoy-rbac-100", [rbac(100)]),
        "sidecars-rbac-100": partial(Sidecars, "sidecars-rbac-100", [rbac(100)]),
    },
)
_SERVERS: tuple[Literal["redis", "bare"], ...] = ("redis", "bare")
SHORT = Suite(
    base="one-core",
    scenarios={
        "one-core": partial(PlainCore, "one-core"),
        "one-core-again": partial(PlainCore, "one-core-again"),
        "tulle-short": partial(Short, "tulle-short"),
    },
    phases=(
        _ONE_CONNECTION,
        _SIXTEEN,
        *(Asked(f"{name}, {n}", name, n, PHASE_S) for name in _SERVERS for n in (1, 16)),
    ),
    metrics=(
        replace(_P50, key="nginx_p50", title="nginx p50"),
        replace(_RPS, key="nginx_rps", title="nginx /s"),
        *(
            metric
            for name in _SERVERS
            for metric in (
                Metric(f"{name}_p50", f"{name} p50", f"{name}, 1", "p50_us", "µs"),
                Metric(
                    *(f"{name}_rps", f"{name} /s", f"{name}, 16", "requests_per_s", "/s"),
                    more_is_better=True,
                ),
            )
        ),
    ),
    headline=("nginx_p50", "nginx_rps", "redis_p50", "redis_rps", "bare_p50", "bare_rps"),
    one_core=True,
)
STREAM_NODES = _HTTP(
    base="far",
    scenarios={
        "far": partial(PlainNodes, "far", "native"),
        "far-again": partial(PlainNodes, "far-again", "native"),
        "tulle-far": partial(TulleNodes, "tulle-far"),
        "tulle-far-1": partial(JudgedNodes, "tulle-far-1", 1),
        "tulle-far-100": partial(JudgedNodes, "tulle-far-100", 100),
        "tulle-far-1000": partial(JudgedNodes, "tulle-far-1000", 1000),
    },
)

_NODES_PHASES: tuple[Phase, ...] = (
    _ONE_CONNECTION,
    _SIXTEEN,
    Flood(BULK, "bulk", PHASE_S),
    Flood(PACKETS, "packets", PHASE_S),
)
_NODES_METRICS = (
    Metric("throughput", "TCP", BULK, "per_s", "Gbit/s", more_is_better=True, scale=1e-9),
    _RPS,
    _P50,
    Metric("packets", "packets/s", PACKETS, "per_s", "/s", more_is_better=True),
)
ROUTED = Suite(
    base="routed",
    scenarios={
        "routed": partial(PlainNodes, "routed", "native"),
        "routed-again": partial(PlainNodes, "routed-again", "native"),
        "tulle-native": partial(TulleNodes, "tulle-native"),
    },
    phases=_NODES_PHASES,
    metrics=_NODES_METRICS,
    headline=("throughput", "rps"),
)
OVERLAY = Suite(
    base="vxlan",
    scenarios={
        "vxlan": partial(PlainNodes, "vxlan", "vxlan"),
        "vxlan-again": partial(PlainNodes, "vxlan-again", "vxlan"),
        "tulle-overlay": partial(TulleNodes, "tulle-overlay", "--routing", "vxlan"),
    },
    phases=_NODES_PHASES,
    metrics=_NODES_METRICS,
    headline=("throughput", "rps"),
)
NODE_PORT = Suite(
    base="iptables",
    scenarios={
        "iptables": partial(NodePort, "iptables"),
        "iptables-again": partial(NodePort, "iptables-again"),
        "tulle-tc": partial(TulleNodePort, "tulle-tc"),
        "tulle-xdp": partial(TulleNodePort, "tulle-xdp", "--xdp", "generic"),
    },
    phases=_NODES_PHASES,
    metrics=_NODES_METRICS,
    headline=("packets",),
)
SEVERAL_NODES = (ROUTED, OVERLAY, NODE_PORT)
SUITES = {
    "one node": (ONE_NODE,),
    "nodes": SEVERAL_NODES,
    "proxy": (PROXY,),
    "stream": (STREAM, SHORT, STREAM_NODES),
}
