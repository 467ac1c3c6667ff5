"""What every part of rtnetlink work here needs: a socket whose errors are ours, sysctls, indexes.

Every function works in the network namespace of the calling thread; `netns.run_in` chooses it.
pyroute2 takes half a second to import, so it is imported at first use.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
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


def sysctl(name: str, value: str) -> None:
    """Set `net/<name>`. One that the kernel has not is skipped. Raises KernelError."""
    try:
        (Path("/proc/sys/net") / name).write_text(value)
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


def disconnect(interface: str) -> None:
    """Remove an interface; of a veth pair both ends, with their routes and neighbours.

    One that is already gone is no error. Raises KernelError.
    """
    try:
        batch = Batch()
        batch.delete_link(index_of(interface))
        batch.send(f"interface {interface}")
    except KernelError as error:
        if error.errno != errno.ENODEV:
            raise
