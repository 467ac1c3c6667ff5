"""bpf(2), as far as Tulle needs it. Layouts: union bpf_attr of include/uapi/linux/bpf.h.

The calls release the GIL. Every failure is a KernelError that says what was being done.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from struct import pack, unpack_from
from typing import NamedTuple

from tulle.errors import KernelError

_NR_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
_libc = ctypes.CDLL(None, use_errno=True)

MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY = 1, 2, 3, 4
OBJ_PIN, OBJ_GET, PROG_ATTACH, TEST_RUN = 6, 7, 8, 10
INFO_BY_FD, BTF_BY_ID = 15, 19
LOOKUP_BATCH, UPDATE_BATCH = 24, 26
LINK_CREATE, LINK_UPDATE, ITER_CREATE = 28, 29, 33
TRACE_ITER = 28  # enum bpf_attach_type
BPF_NOEXIST = 1


def bpf(command: int, attr: bytes | ctypes.Array[ctypes.c_char], doing: str) -> int:
    """Raises KernelError."""
    number = _NR_BPF.get(platform.machine())
    if number is None:
        raise KernelError(errno.ENOSYS, f"{doing} on {platform.machine()}")
    buffer = (
        attr if isinstance(attr, ctypes.Array) else ctypes.create_string_buffer(attr, len(attr))
    )
    result: int = _libc.syscall(number, command, buffer, len(buffer))
    if result < 0:
        raise KernelError(ctypes.get_errno(), doing)
    return result


def address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def pin(fd: int, path: str) -> None:
    name = ctypes.create_string_buffer(path.encode())
    bpf(OBJ_PIN, pack("=QII", address(name), fd, 0), f"pin {path}")


def get_pinned(path: str) -> int:
    """A new descriptor; KernelError with ENOENT if nothing is pinned there."""
    name = ctypes.create_string_buffer(path.encode())
    return bpf(OBJ_GET, pack("=QII", address(name), 0, 0), f"open pinned {path}")


class MapInfo(NamedTuple):
    """struct bpf_map_info; `btf` is 0 for a map without types."""

    number: int
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    btf: int
    key_type: int
    value_type: int


def map_info(fd: int) -> MapInfo:
    info = ctypes.create_string_buffer(88)
    _info(fd, info, "describe map")
    kind, number, key_size, value_size, max_entries = unpack_from("=5I", info)
    return MapInfo(number, kind, key_size, value_size, max_entries, *unpack_from("=3I", info, 64))


def is_empty(fd: int) -> bool:
    """Also of a map whose values cannot be read, as those of sockets."""
    key = ctypes.create_string_buffer(map_info(fd).key_size)
    try:
        bpf(MAP_NEXT_KEY, pack("=IIQQ", fd, 0, 0, address(key)), "ask for a map's first key")
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return True
        raise
    return False


def btf(number: int) -> bytes:
    """The types that the kernel holds under a number."""
    fd = bpf(BTF_BY_ID, pack("=I", number), f"open types {number}")
    try:
        info = ctypes.create_string_buffer(32)  # struct bpf_btf_info
        _info(fd, info, f"describe types {number}")
        raw = ctypes.create_string_buffer(unpack_from("=I", info, 8)[0])
        info = ctypes.create_string_buffer(pack("=QI20x", address(raw), len(raw)))
        _info(fd, info, f"read types {number}")
        return raw.raw
    finally:
        os.close(fd)


def _info(fd: int, info: ctypes.Array[ctypes.c_char], doing: str) -> None:
    bpf(INFO_BY_FD, pack("=IIQ", fd, len(info), address(info)), doing)


def link_create(program: int, target: int, attach_type: int, flags: int = 0) -> int:
    attr = pack("=IIII48x", program, target, attach_type, flags)
    return bpf(LINK_CREATE, attr, f"attach program (type {attach_type})")


def attach_to_map(program: int, sockets: int, attach_type: int) -> None:
    """For sockets that are put into the map from now on; the map holds the program."""
    attr = pack("=IIII", sockets, program, attach_type, 0)
    bpf(PROG_ATTACH, attr, f"attach program to map (type {attach_type})")


def link_update(link: int, program: int) -> None:
    """Swaps the program behind a link in one step; a program already there is no error."""
    try:
        bpf(LINK_UPDATE, pack("=IIII", link, program, 0, 0), "swap program")
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise


def iter_create(link: int) -> int:
    """A descriptor; reading it to its end runs the iterator in the caller's namespaces."""
    return bpf(ITER_CREATE, pack("=II", link, 0), "start iterator")


def test_run(
    program: int, *, data: bytes = b"", context: bytes = b"", data_out: int = 0
) -> tuple[int, bytes, bytes]:
    """BPF_PROG_TEST_RUN once: return value, packet afterwards, context afterwards."""
    data_in = ctypes.create_string_buffer(data, len(data) or 1)
    out = ctypes.create_string_buffer(data_out or 1)
    ctx = ctypes.create_string_buffer(context, len(context) or 1)
    attr = ctypes.create_string_buffer(
        pack(
            "=IIIIQQIIIIQQIII4x",
            program,
            0,
            len(data),
            data_out,
            address(data_in) if data else 0,
            address(out) if data_out else 0,
            0,
            0,
            len(context),
            len(context) if data else 0,
            address(ctx) if context else 0,
            address(ctx) if context and data else 0,
            0,
            0,
            0,
        )
    )
    bpf(TEST_RUN, attr, "test-run program")
    result, size = unpack_from("=I", attr, 4)[0], unpack_from("=I", attr, 12)[0]
    return result, out.raw[:size] if data_out else b"", ctx.raw[: len(context)]


def possible_cpus() -> int:
    """CPUs that per-CPU maps have room for."""
    with open("/sys/devices/system/cpu/possible") as file:  # noqa: PTH123
        last = file.read().strip().replace(",", "-").split("-")[-1]
    return int(last) + 1
