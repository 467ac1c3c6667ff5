"""rtnetlink by hand, for what is done for every workload: pyroute2 takes ten times as long.

Messages are gathered and sent together; the kernel carries them out in order, and answers each.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from tulle.errors import KernelError
from tulle.model.world import IPAddress

Way = Literal["in", "out"]  # of packets, through an interface

IFF_UP, IFF_NOARP, IFF_MULTICAST = 0x1, 0x80, 0x1000
IFA_F_NODAD = 0x02
RTNH_F_ONLINK = 4
SCOPE_LINK = 253

_HEADER = struct.Struct("=IHHII")
_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_ERROR, _NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _NEWNEIGH = 2, 16, 17, 20, 24, 28
_NEWQDISC, _NEWFILTER = 36, 44
_PUT = _CREATE | _REPLACE
_MAIN_TABLE, _STATIC, _UNICAST, _PERMANENT = 254, 4, 1, 0x80
_TIMEOUT = struct.pack("ll", 10, 0)
_AT_ONCE = 128  # messages whose answers a socket's buffer holds

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 18, 28
_IFLA_AF_SPEC, _IFLA_GROUP = 26, 27
_INET_CONF, _ADDR_GEN_MODE, _GEN_NONE = 1, 8, b"\1"
_INFO_KIND, _INFO_DATA, _PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_NDA_DST, _NDA_LLADDR = 1, 2
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TCA_BPF_FD, _TCA_BPF_NAME, _TCA_BPF_FLAGS = 6, 7, 8
_DIRECT_ACTION = 1
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_HOOKS = {"in": 0xFFFFFFF2, "out": 0xFFFFFFF3}
_ONLY = 1 << 16 | socket.htons(3)  # the first priority, of all protocols


class Batch:
    """Changes of the namespace that the calling thread is in, made by `send`."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    def __len__(self) -> int:
        return len(self._messages)

    def add_veth(self, node: bytes, workload: bytes) -> None:
        """Both ends as `end` gives them. An interface of that name must not exist."""
        data = _attribute(_PEER, workload)
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, data)
        self._add(_NEWLINK, _CREATE | _EXCL, node + _attribute(_IFLA_LINKINFO, info))

    def set_link(self, index: int, flags: int, change: int) -> None:
        """Change those flags of `change` to what they are in `flags`."""
        self._add(_NEWLINK, 0, _link(index, flags, change))

    def set_group(self, index: int, group: int) -> None:
        body = _link(index, 0, 0) + _attribute(_IFLA_GROUP, struct.pack("=I", group))
        self._add(_NEWLINK, 0, body)

    def delete_group(self, group: int) -> None:
        """All links of it at once."""
        body = _link(0, 0, 0) + _attribute(_IFLA_GROUP, struct.pack("=I", group))
        self._add(_DELLINK, 0, body)

    def configure(self, index: int, ipv4: Mapping[int, int], *, ipv6: bool) -> None:
        """Some of `net/ipv4/conf`, by their numbers, and that `ipv6` gives it no address.

        Where sysctls would spin as long as others change interfaces.
        """
        conf = b"".join(_attribute(key, struct.pack("=I", ipv4[key])) for key in ipv4)
        of_4 = _attribute(socket.AF_INET, _attribute(_INET_CONF, conf))
        of_6 = _attribute(socket.AF_INET6, _attribute(_ADDR_GEN_MODE, _GEN_NONE))
        spec = (of_4 if ipv4 else b"") + (of_6 if ipv6 else b"")
        self._add(_NEWLINK, 0, _link(index, 0, 0) + _attribute(_IFLA_AF_SPEC, spec))

    def put_address(self, index: int, address: IPAddress) -> None:
        """Alone, without a network. Duplicates are not looked for: addresses are ours."""
        family, packed = _packed(address)
        body = struct.pack("=BBBBI", family, address.max_prefixlen, 0, 0, index)
        body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
        if address.version == 6:
            body += _attribute(_IFA_FLAGS, struct.pack("=I", IFA_F_NODAD))
        self._add(_NEWADDR, _PUT, body)

    def put_route_to(self, address: IPAddress, index: int) -> None:
        """By that interface, where it is a neighbour."""
        family, packed = _packed(address)
        scope = SCOPE_LINK if address.version == 4 else 0  # IPv6 routes have no scope
        body = _route(family, address.max_prefixlen, scope, 0) + _attribute(_RTA_DST, packed)
        self._add(_NEWROUTE, _PUT, body + _attribute(_RTA_OIF, struct.pack("=i", index)))

    def put_default_route(self, gateway: IPAddress, index: int, source: IPAddress) -> None:
        """By a gateway that no route leads to."""
        family, packed = _packed(gateway)
        body = _route(family, 0, 0, RTNH_F_ONLINK) + _attribute(_RTA_GATEWAY, packed)
        body += _attribute(_RTA_OIF, struct.pack("=i", index))
        self._add(_NEWROUTE, _PUT, body + _attribute(_RTA_PREFSRC, source.packed))

    def put_neighbour(self, address: IPAddress, mac: str, index: int) -> None:
        """For good: it is not asked for."""
        family, packed = _packed(address)
        body = struct.pack("=BxxxiHBB", family, index, _PERMANENT, 0, 0)
        body += _attribute(_NDA_DST, packed) + _attribute(_NDA_LLADDR, _mac(mac))
        self._add(_NEWNEIGH, _PUT, body)

    def put_clsact(self, index: int) -> None:
        """Where filters are put; one that is there is answered with EEXIST."""
        body = struct.pack("=BxxxiIII", 0, index, _CLSACT_HANDLE, _CLSACT, 0)
        self._add(_NEWQDISC, _CREATE | _EXCL, body + _attribute(_TCA_KIND, b"clsact\0"))

    def put_filter(self, index: int, way: Way, program: int, name: str, *, keep: bool) -> None:
        """A program that judges what goes one way; `keep`: EEXIST if there is one already."""
        options = _attribute(_TCA_BPF_FD, struct.pack("=I", program))
        options += _attribute(_TCA_BPF_NAME, name.encode() + b"\0")
        options += _attribute(_TCA_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
        body = struct.pack("=BxxxiIII", 0, index, 1, _HOOKS[way], _ONLY)
        body += _attribute(_TCA_KIND, b"bpf\0") + _attribute(_TCA_OPTIONS, options)
        self._add(_NEWFILTER, _CREATE | (_EXCL if keep else _REPLACE), body)

    def send(self, doing: str) -> None:
        """Raises KernelError for the first that the kernel refused; all have been tried."""
        for code in self.answers(doing):
            if code:
                raise KernelError(code, doing)

    def answers(self, doing: str) -> list[int]:
        """The errno of each change, 0 where all is well. Raises KernelError."""
        messages, self._messages = self._messages, []
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
            try:
                return [code for some in _parts(messages) for code in _exchange(kernel, *some)]
            except OSError as error:
                raise KernelError(error.errno or 0, doing) from error

    def _add(self, kind: int, flags: int, body: bytes) -> None:
        flags |= _REQUEST | _ACK
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, kind, flags, len(self._messages), 0)
        self._messages.append(header + body)


def end(name: str, mac: str, mtu: int, *, without: int = 0, netns_fd: int | None = None) -> bytes:
    """Of a pair of interfaces, in the namespace of `netns_fd`; `without` are flags."""
    body = _link(0, 0, without)
    body += _attribute(_IFLA_IFNAME, name.encode() + b"\0") + _attribute(_IFLA_ADDRESS, _mac(mac))
    body += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
    if netns_fd is not None:
        body += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", netns_fd))
    return body


def _parts(messages: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """With the number of the first."""
    for start in range(0, len(messages), _AT_ONCE):
        yield start, messages[start : start + _AT_ONCE]


def _exchange(kernel: socket.socket, first: int, messages: list[bytes]) -> list[int]:
    """The errno of each message."""
    kernel.send(b"".join(messages))
    codes: dict[int, int] = {}
    while len(codes) < len(messages):
        codes.update(_errors(kernel.recv(65536)))
    return [codes[first + number] for number in range(len(messages))]


def _errors(datagram: bytes) -> Iterable[tuple[int, int]]:
    place = 0
    while place + _HEADER.size <= len(datagram):
        length, kind, _, number, _ = _HEADER.unpack_from(datagram, place)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", datagram, place + _HEADER.size)
            yield number, -code
        place += max(_aligned(length), _HEADER.size)


def _link(index: int, flags: int, change: int) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _route(family: int, length: int, scope: int, flags: int) -> bytes:
    head = (family, length, 0, 0, _MAIN_TABLE, _STATIC, scope, _UNICAST, flags)
    return struct.pack("=BBBBBBBBI", *head)


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return length + 3 & ~3


def _packed(address: IPAddress) -> tuple[int, bytes]:
    return (socket.AF_INET if address.version == 4 else socket.AF_INET6), address.packed


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
