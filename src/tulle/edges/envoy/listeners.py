"""What every listener has that takes connections: two Envoys share its port, and one is chosen."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from tulle import xds

from .launch import PROGRAM_FD

LISTENER = "envoy.config.listener.v3.Listener"
SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF = 1, 52


def shared(body: bytes) -> bytes:
    """The listener with the program that chooses (edges/bpf/elder.py) on its sockets.

    What cannot be parsed stays as it is: Envoy says why it refuses it.
    """
    try:
        listener: Any = xds.message(LISTENER).FromString(body)
    except DecodeError:
        return body
    if listener.HasField("internal_listener"):
        return body
    # the kernel refuses to bind and to listen on a port beside others where one is attached already
    is_udp = listener.address.socket_address.protocol == listener.address.socket_address.UDP
    option = {
        "level": SOL_SOCKET,
        "name": SO_ATTACH_REUSEPORT_EBPF,
        "int_value": PROGRAM_FD,
        "state": "STATE_BOUND" if is_udp else "STATE_LISTENING",
    }
    # in protobuf's encoding, two messages one after the other are one with the fields of both
    return body + xds.pack(LISTENER, socket_options=[option])
