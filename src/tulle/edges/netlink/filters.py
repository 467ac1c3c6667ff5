"""Packet programs of workloads' interfaces, as filters of their clsact.

tcx would have the kernel wait for two grace periods of RCU at each interface, and for two more when
it goes, while nobody on the machine can change any other: 40 ms. Filters wait for one of the short
kind, and many interfaces for the same. They end with their interface. Nobody else is on it.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping

from tulle.errors import KernelError

from .wire import Batch, Way

Programs = Mapping[Way, tuple[str, int]]  # name and descriptor


def put_filters(interfaces: Collection[int], programs: Programs, *, keep: bool) -> set[int]:
    """Those that have these programs now.

    `keep`: programs that are there already stay. What has no interface any more is passed over.
    Raises KernelError for the first of others, when all have been tried.
    """
    batch = Batch()
    for index in interfaces:  # all of them first: filters wait until nobody can be without
        batch.put_clsact(index)
    for index in interfaces:
        for way, (name, program) in programs.items():
            batch.put_filter(index, way, program, name, keep=keep)
    answers = iter(batch.answers("filters of interfaces"))
    codes = {index: {next(answers)} - {errno.EEXIST} for index in interfaces}
    for index in interfaces:
        codes[index].update(next(answers) for _ in programs)
    for index, of_one in codes.items():
        if errno.ENODEV not in of_one and (failed := of_one - {0, errno.EEXIST}):
            raise KernelError(max(failed), f"filters of interface {index}")
    return {index for index, of_one in codes.items() if of_one == {0}}
