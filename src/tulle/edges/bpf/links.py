"""Attachment: pinned links whose program a new agent swaps in place."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from struct import unpack_from

from tulle.errors import KernelError

from . import syscall

TCX_INGRESS, TCX_EGRESS = 46, 47
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
_LINK_INFO_BYTES = 64
_TCX = 11  # BPF_LINK_TYPE_TCX


def attach(pin: Path, program: int, target: int, attach_type: int) -> None:
    """Attaches, or swaps the program of the link that is pinned there already.

    `target` is an interface index, or a descriptor of a cgroup directory.
    """
    try:
        link = syscall.get_pinned(str(pin))
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        pin.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        link = syscall.link_create(program, target, attach_type)
        syscall.pin(link, str(pin))
    else:
        syscall.link_update(link, program)
    os.close(link)


def is_live(pin: Path, ifindex: int) -> bool:
    """Whether a pinned tcx link still hangs on that interface: a vanished one leaves ifindex 0."""
    try:
        link = syscall.get_pinned(str(pin))
    except KernelError:
        return False
    try:
        kind, _, _, _, on = unpack_from("=IIIII", syscall.info(link, _LINK_INFO_BYTES))
    finally:
        os.close(link)
    return bool(kind == _TCX and on == ifindex)


def remove(pin: Path) -> None:
    """Detaches by dropping the pin, which holds the last reference."""
    pin.unlink(missing_ok=True)
