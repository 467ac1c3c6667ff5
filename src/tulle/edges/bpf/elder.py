"""The program that picks a listener where two Envoys listen on one port: the elder's.

The kernel asks it for a place among the sockets of the port (SO_ATTACH_REUSEPORT_EBPF), which stand
in the order in which they came; when those of a process end, the next move up. So one Envoy takes
all connections while another stands by, and takes over in the moment in which the first one dies.
"""

from __future__ import annotations

import ctypes
import sys
from struct import pack

from . import syscall

PROG_LOAD = 5
SOCKET_FILTER = 1  # enum bpf_prog_type
SKB_LOAD_BYTES_RELATIVE = 68  # enum bpf_func_id
NETWORK_HEADER = 1  # enum bpf_hdr_start_off
PROTOCOL = 16  # offset in struct __sk_buff
GOLDEN = 0x9E3779B1 - (1 << 32)  # 2^32 / φ: multiplied by it, neighbours come to lie far apart
ETH_P_IP = int.from_bytes(b"\x08\x00", sys.byteorder)


def load(workers: int) -> int:
    """A descriptor of the program; each process has `workers` sockets a port. KernelError."""
    code = b"".join(pack("=BBhi", *each) for each in _instructions(workers))
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    places = syscall.address(instructions), syscall.address(licence)
    attr = pack("=IIQQIIQI", SOCKET_FILTER, len(code) // 8, *places, 0, 0, 0, 0)
    return syscall.bpf(PROG_LOAD, attr, "load the program that picks a listener")


def _instructions(workers: int) -> list[tuple[int, int, int, int]]:
    """(opcode, source << 4 | destination, offset, immediate): by the client's port.

    Mixed, since connect() takes even ones as long as there are any (inet_hash_connect).
    """
    return [
        (0xB7, 0x02, 0, 20),  # r2 = 20, where ports stand behind IPv4
        (0x61, 0x13, PROTOCOL, 0),  # r3 = skb->protocol
        (0x15, 0x03, 1, ETH_P_IP),  # if r3 != ETH_P_IP
        (0xB7, 0x02, 0, 40),  # r2 = 40
        (0xBF, 0xA3, 0, 0),  # r3 = r10
        (0x07, 0x03, 0, -8),  # r3 -= 8
        (0xB7, 0x04, 0, 2),  # r4 = 2 bytes
        (0xB7, 0x05, 0, NETWORK_HEADER),
        (0x85, 0x00, 0, SKB_LOAD_BYTES_RELATIVE),  # zeroes its target if it fails
        (0x69, 0xA0, -8, 0),  # r0 = *(u16 *)(r10 - 8)
        (0xDC, 0x00, 0, 16),  # r0 = be16 r0
        (0x24, 0x00, 0, GOLDEN),  # w0 *= GOLDEN
        (0x74, 0x00, 0, 16),  # w0 >>= 16
        (0x94, 0x00, 0, workers),  # w0 %= workers
        (0x95, 0x00, 0, 0),  # exit
    ]
