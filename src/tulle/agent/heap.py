"""Python's and libc's memory, set up for a large world that hardly changes.

A world of 100,000 endpoints is a million objects without cycles that live until they are replaced.
The cyclic garbage collector would walk all of them again and again: while they are read, 2 s of
8; later, half a second in the middle of a pass. So it looks at what is young alone while the first
world is read, however long that is waited for, and afterwards takes what is there for granted:
reference counts free it all the same. And it runs rarely, for each time it walks the mappings of
10,000 entries that the last passes made.

What is large and gone soon, as a page of a list or a batch for the kernel, is mapped and unmapped:
within the heap each would leave a hole.
"""

from __future__ import annotations

import ctypes
import gc
from functools import cache

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # <malloc.h>
_THRESHOLD = 20_000  # containers made since, instead of 700
_THRESHOLD_BEFORE = 200_000
_NEVER = 1_000_000  # so often the young ones before all
_OLDER = (10, 10)  # as Python has it
_MAPPED_BYTES = 256 << 10  # and more; unless told, malloc raises it to the largest it has seen
_ARENAS = 2  # more, one a thread, would each keep the memory of the largest pass that ran in it

_libc = ctypes.CDLL(None)


def before_the_first_world() -> None:
    gc.set_threshold(_THRESHOLD_BEFORE, _NEVER, _NEVER)
    _libc.mallopt(_M_ARENA_MAX, _ARENAS)
    _libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


@cache
def after_the_first_world() -> None:
    """Only the first time; what a source has not told yet would be missing, so after a pass."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD, *_OLDER)
    _libc.malloc_trim(0)
