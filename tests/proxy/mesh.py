"""Services on 127.0.0.1, and images of fronts that lead there."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from tests.unit.compile.services.shop import built, listing, service, town
from tulle.compile.proxy import proxy_image
from tulle.compile.services import ServiceParts
from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import XdsImage
from tulle.model.routing import (
    Destination,
    Front,
    RequestMatch,
    Routing,
    Rule,
    Server,
    VirtualHost,
)

HERE = ip_address("127.0.0.1")
ROUTE = ObjectRef("HTTPRoute", "shop", "web")
GATEWAY = ObjectRef("Gateway", "shop", "edge")


# tests that run beside these take others: Envoys would share one and answer for each other
_PORTS = range(
    10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    32_000,
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


def free_port() -> int:
    """Below those that the kernel gives to clients, who might be given it meanwhile."""
    while True:
        with socket.socket() as probe:
            port = random.SystemRandom().choice(_PORTS)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def services(ports: Mapping[str, int | Sequence[int]], protocol: str = "TCP") -> ServiceParts:
    """Each with a backend at each of its ports of 127.0.0.1."""
    text = ""
    for name, given in ports.items():
        text += service(name, f"ports: [{{port: 80, protocol: {protocol}}}]")
        for port in (given,) if isinstance(given, int) else given:
            where = f"port: {port}, protocol: {protocol}"
            text += listing("127.0.0.1", name=f"{name}-{port}", of=name, port=where)
    return built(town(text=text))


def to(name: str, weight: int = 1, **fields: Any) -> Destination:
    return Destination(("shop", name), 80, weight, **fields)


def rule(*destinations: Destination, origin: ObjectRef = ROUTE, **fields: Any) -> Rule:
    return Rule(origin, fields.pop("index", 0), destinations=destinations, **fields)


def host(*entries: tuple[RequestMatch | str, Rule], name: str = "*") -> VirtualHost:
    """A text is a prefix of the path."""
    made = [(RequestMatch(m) if isinstance(m, str) else m, r) for m, r in entries]
    return VirtualHost(name, tuple(made))


def web(*hosts: VirtualHost, **fields: Any) -> Server:
    return Server(fields.pop("name", "web"), hosts=hosts, **fields)


def front(*servers: Server, port: int = 0, **fields: Any) -> Front:
    number = port or free_port()
    fields = {"addresses": (HERE,), **fields}
    name = f"gateway/shop/edge/{number}"
    return Front(
        name, GATEWAY, ("shop", "tulle-gateway-edge"), port=number, servers=servers, **fields
    )


def image(parts: ServiceParts, *fronts: Front) -> XdsImage:
    return proxy_image(Routing({item.name: item for item in fronts}), parts).image
