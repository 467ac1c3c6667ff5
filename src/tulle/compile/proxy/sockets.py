"""What the proxy's sockets bear, so that the kernel's programs know them."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.abi import Mark
from tulle.model.proxy import UPSTREAM_PORTS
from tulle.model.world import IPAddress

from .fields import Fields, socket_address

# Linux: level and name of socket options (asm-generic/socket.h, linux/in.h, linux/tcp.h)
_SO_KEEPALIVE, _SO_MARK = (1, 9), (1, 36)
_TRANSPARENT = 0, 19  # of either family: the address need not be the node's own
_BIND_ADDRESS_NO_PORT, _LOCAL_PORT_RANGE = (0, 24), (0, 51)
_TCP_KEEPIDLE, _TCP_KEEPINTVL, _TCP_KEEPCNT = (6, 4), (6, 5), (6, 6)

# Seconds until a client is asked whether it is there, between questions, and how many there are.
_IDLE_S, _INTERVAL_S, _PROBES = 120, 15, 4
KEEPALIVE: Fields = {
    "tcp_keepalive": {
        "keepalive_time": {"value": _IDLE_S},
        "keepalive_interval": {"value": _INTERVAL_S},
        "keepalive_probes": {"value": _PROBES},
    }
}


def listening(protocol: str, rules: int = 0) -> list[Fields]:
    """Socket options of a listener; accepted sockets inherit them.

    `rules` is the number of the layer 7 rules that it enforces.
    """
    options = [_option(_SO_MARK, Mark.PROXY | rules)]
    if protocol == "TCP":
        options += [
            _option(_SO_KEEPALIVE, 1),
            _option(_TCP_KEEPIDLE, _IDLE_S),
            _option(_TCP_KEEPINTVL, _INTERVAL_S),
            _option(_TCP_KEEPCNT, _PROBES),
        ]
    return options


def as_client() -> Fields:
    """A BindConfig for connections in clients' names: address and mark are the listener's to know.

    Their ports are none that the client itself is given, or two connections could be the same.
    """
    return {"socket_options": _OF_CLIENTS}


def as_client_or_proxy(sources: Sequence[IPAddress]) -> Fields:
    """The same with the mark of fronts, and for what has no client's connection behind it.

    Envoy forgets whose request it was that it mirrors. It is not the node that asks then, whom no
    policy keeps out, but the proxy.
    """
    options = [_option(_SO_MARK, Mark.PROXY), _option(_TRANSPARENT, 1), *_OF_CLIENTS]
    return {"socket_options": options, **_from(sources)}


def as_proxy(sources: Sequence[IPAddress]) -> Fields:
    """A BindConfig for connections in the proxy's own name, from its address of each family."""
    options = [
        _option(_SO_MARK, Mark.PROXY),
        _option(_TRANSPARENT, 1),
        _option(_BIND_ADDRESS_NO_PORT, 1),
    ]
    return {"socket_options": options, **_from(sources)}


def _from(sources: Sequence[IPAddress]) -> Fields:
    addresses = [socket_address(source, 0)["socket_address"] for source in sources]
    if not addresses:
        return {}
    others = [{"address": item} for item in addresses[1:]]
    return {"source_address": addresses[0], "extra_source_addresses": others}


def _option(option: tuple[int, int], number: int) -> Fields:
    level, name = option
    return {"level": level, "name": name, "int_value": number, "state": "STATE_PREBIND"}


_OF_CLIENTS = [
    _option(_BIND_ADDRESS_NO_PORT, 1),
    _option(_LOCAL_PORT_RANGE, UPSTREAM_PORTS[1] << 16 | UPSTREAM_PORTS[0]),
]
