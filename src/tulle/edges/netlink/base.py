"""What every part of rtnetlink work here needs: a socket whose errors are ours, sysctls, indexes.

Every function works in the network namespace of the calling thread; `netns.run_in` chooses it.
pyroute2 takes half a second to import, so it is imported at first use.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tulle.errors import KernelError
from tulle.model.world import IPAddress

from .wire import IFA_F_NODAD, Batch

if TYPE_CHECKING:
    from pyroute2 import IPRoute


@contextmanager
def rtnetlink(doing: str) -> Iterator[IPRoute]:
    """Raises KernelError, which says what was being done."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as routes:
            yield routes
    except NetlinkError as error:
        raise KernelError(int(error.code), doing) from error
    except OSError as error:
        raise KernelError(error.errno or 0, doing) from error


def index_of(interface: str) -> int:
    """Raises KernelError (ENODEV) if there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:  # which carries no errno
        raise KernelError(errno.ENODEV, f"interface {interface}") from error


def interfaces() -> dict[str, int]:
    """Name → ifindex of all interfaces."""
    return {name: index for index, name in socket.if_nameindex()}


def peers_namespaces() -> dict[int, int]:
    """ifindex → this namespace's number for that of its other end. Raises KernelError."""
    with rtnetlink("list interfaces") as routes:
        found = {link["index"]: link.get_attr("IFLA_LINK_NETNSID") for link in routes.get_links()}
    return {index: number for index, number in found.items() if number is not None}


def sysctl(name: str, value: str) -> None:
    """Set `net/<name>`. One that the kernel has not is skipped. Raises KernelError."""
    try:
        fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except FileNotFoundError:
        return
    except OSError as error:
        raise KernelError(error.errno or 0, f"sysctl net/{name}") from error


def read_sysctl(name: str) -> str:
    """What `net/<name>` is; "" if the kernel has it not."""
    try:
        return (Path("/proc/sys/net") / name).read_text().strip()
    except FileNotFoundError:
        return ""


def add_address(routes: IPRoute, index: int, address: IPAddress, prefixlen: int = 0) -> None:
    """`prefixlen` 0 is the address alone. Duplicates are not looked for: addresses are ours."""
    options: dict[str, Any] = {"flags": IFA_F_NODAD} if address.version == 6 else {}
    length = prefixlen or address.max_prefixlen
    routes.addr("replace", index=index, address=str(address), prefixlen=length, **options)


def disconnect(interfaces: Collection[str]) -> None:
    """Remove interfaces; of veth pairs both ends, with their routes and neighbours.

    The kernel waits once for all, and then again for those that are not in one group. One that is
    already gone is no error. Raises KernelError.
    """
    indexes = []
    for interface in interfaces:
        with suppress(OSError):  # there is none
            indexes.append(socket.if_nametoindex(interface))
    doing = f"interface {', '.join(interfaces)}"
    batch, group = Batch(), 1 << 31 | secrets.randbits(31)
    for index in indexes:
        batch.set_group(index, group)
    if indexes:
        _check(batch.answers(doing), doing)
        batch.delete_group(group)
        _check(batch.answers(doing), doing)


def _check(answers: Iterable[int], doing: str) -> None:
    if failed := set(answers) - {0, errno.ENODEV}:
        raise KernelError(max(failed), doing)
