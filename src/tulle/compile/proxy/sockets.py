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


def as_client(marked: bool = True) -> Fields:
    """A BindConfig for connections in clients' names: the listener knows the address.

    Their ports are none that the client itself is given, or two connections could be the same. Not
    `marked`, they get a mark by the listener too.
    """
    first, last = UPSTREAM_PORTS
    return {
        "socket_options": [
            *([_option(_SO_MARK, Mark.PROXY)] if marked else []),
            _option(_BIND_ADDRESS_NO_PORT, 1),
            _option(_LOCAL_PORT_RANGE, last << 16 | first),
        ]
    }


def as_proxy(sources: Sequence[IPAddress]) -> Fields:
    """A BindConfig for connections in the proxy's own name, from its address of each family."""
    options = [
        _option(_SO_MARK, Mark.PROXY),
        _option(_TRANSPARENT, 1),
        _option(_BIND_ADDRESS_NO_PORT, 1),
    ]
    config: Fields = {"socket_options": options}
    if sources:
        addresses = [socket_address(source, 0)["socket_address"] for source in sources]
        config["source_address"] = addresses[0]
        config["extra_source_addresses"] = [{"address": item} for item in addresses[1:]]
    return config


def _option(option: tuple[int, int], number: int) -> Fields:
    level, name = option
    return {"level": level, "name": name, "int_value": number, "state": "STATE_PREBIND"}
