"""An agent and the kernel's maps of its node, as benches look at them from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tulle.abi import ABI_HASH
from tulle.edges.bpf import syscall
from tulle.edges.bpf.maps import Map
from tulle.model.paths import NodePaths


def memory_mib(pid: int, field: str) -> float:
    """VmRSS, or VmHWM for the most that it ever was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(value) / 1024


def cpu_s(pid: int) -> float:
    """What its threads have had of processors, however many others wanted some."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def pinned_map(paths: NodePaths, name: str) -> Iterator[Map]:
    fd = syscall.get_pinned(f"{paths.bpffs}/v{ABI_HASH}/{name}")
    try:
        yield Map(name, fd)
    finally:
        os.close(fd)
