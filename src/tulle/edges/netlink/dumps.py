"""Routes as the kernel lists them, of one table and one protocol number: it leaves out the others.

By hand: a node has two routes a node, and pyroute2 takes a tenth of a millisecond for each that the
kernel has, whosever they are.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from tulle.errors import KernelError

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE, _NEWROUTE, _GETROUTE = 2, 3, 24, 26
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_RTA_DST, _RTA_TABLE = 1, 15
_TIMEOUT = struct.pack("ll", 10, 0)
# without that table, or without that family
_NONE = (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)
FAMILIES = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Listed:
    """`attributes` by their RTA_ numbers."""

    family: int
    prefixlen: int
    type: int
    attributes: dict[int, bytes]

    @property
    def dst(self) -> str:
        none = bytes(4 if self.family == socket.AF_INET else 16)
        return f"{ip_address(self.attributes.get(_RTA_DST, none))}/{self.prefixlen}"


def list_routes(family: int, table: int, protocol: int) -> Iterator[Listed]:
    """Raises KernelError."""
    try:
        yield from _list(family, table, protocol)
    except OSError as error:
        if error.errno not in _NONE:
            raise KernelError(error.errno or 0, "list routes") from error


def _list(family: int, table: int, protocol: int) -> Iterator[Listed]:
    """Raises OSError."""
    body = _ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)
    body += _ATTRIBUTE.pack(8, _RTA_TABLE) + struct.pack("=I", table)
    head = _HEADER.pack(_HEADER.size + len(body), _GETROUTE, _REQUEST | _DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
        kernel.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        kernel.send(head + body)
        while True:
            for kind, message in _messages(kernel.recv(1 << 17)):
                if kind in (_DONE, _ERROR):
                    _check(message)
                    return
                if kind == _NEWROUTE and message[0] == family:
                    yield _listed(message)


def _check(message: bytes) -> None:
    """Of how a list ends. Raises OSError."""
    (code,) = struct.unpack_from("=i", message)
    if code:
        raise OSError(-code, "list routes")


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, place)
        yield kind, datagram[place + _HEADER.size : place + length]
        place += max(_aligned(length), _HEADER.size)


def _listed(message: bytes) -> Listed:
    family, prefixlen, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(message)
    attributes, place = {}, _ROUTE.size
    while place + _ATTRIBUTE.size <= len(message):
        length, number = _ATTRIBUTE.unpack_from(message, place)
        attributes[number] = message[place + _ATTRIBUTE.size : place + length]
        place += max(_aligned(length), _ATTRIBUTE.size)
    return Listed(family, prefixlen, kind, attributes)


def _aligned(length: int) -> int:
    return length + 3 & ~3
