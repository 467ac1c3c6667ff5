"""Attachment: pinned links whose program a new agent swaps in place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tulle.errors import KernelError

from . import syscall

TCX_INGRESS, TCX_EGRESS, XDP = 46, 47, 37
XDP_FLAGS = {"generic": 1 << 1, "native": 1 << 2}  # XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE
CGROUP_HOOKS = {  # enum bpf_attach_type
    "connect4": 10,
    "connect6": 11,
    "sendmsg4": 14,
    "sendmsg6": 15,
    "recvmsg4": 19,
    "recvmsg6": 20,
    "getpeername4": 29,
    "getpeername6": 30,
}
STREAM_HOOKS = {"accepted": 3, "undeferred": 22}  # sock_ops, setsockopt
SENT = {"sent": 7}  # of the short circuit: sk_msg, of its map of sockets


def attach(pin: Path, program: int, target: int, attach_type: int, flags: int = 0) -> None:
    """Attaches, or swaps the program of the link that is pinned there already.

    `target` is an interface index, or a descriptor of a cgroup directory. A link whose interface
    or cgroup has gone is severed for good: it is replaced.
    """
    try:
        link = syscall.get_pinned(str(pin))
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        _create(pin, program, target, attach_type, flags)
        return
    try:
        syscall.link_update(link, program)
    except KernelError as error:
        if error.errno != errno.ENOLINK:
            raise
        remove(pin)
        _create(pin, program, target, attach_type, flags)
    finally:
        os.close(link)


def _create(pin: Path, program: int, target: int, attach_type: int, flags: int) -> None:
    pin.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    link = syscall.link_create(program, target, attach_type, flags)
    try:
        syscall.pin(link, str(pin))
    finally:
        os.close(link)


def remove(pin: Path) -> None:
    """Detaches by dropping the pin, which holds the last reference."""
    pin.unlink(missing_ok=True)
