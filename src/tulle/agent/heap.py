"""Python's and libc's memory, set up for a large world that hardly changes.

A world of 100,000 endpoints is a million objects without cycles that live until they are replaced.
The cyclic garbage collector would walk all of them again and again: while they are read, 2 s of
8; later, half a second in the middle of a pass. So it rests while the first world is read, and
afterwards takes what is there for granted: reference counts free it all the same. And it runs
rarely, for each time it walks the mappings of 10,000 entries that the last passes made.

What is large and gone soon, as a page of a list or a batch for the kernel, is mapped and unmapped:
within the heap each would leave a hole.
"""

from __future__ import annotations

import ctypes
import gc

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # <malloc.h>
_THRESHOLD = 20_000  # containers made since, instead of 700
_MAPPED_BYTES = 256 << 10  # and more; unless told, malloc raises it to the largest it has seen
_ARENAS = 2  # more, one a thread, would each keep the memory of the largest pass that ran in it

_libc = ctypes.CDLL(None)


def before_the_first_world() -> None:
    gc.disable()
    _libc.mallopt(_M_ARENA_MAX, _ARENAS)
    _libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def after_the_first_world() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
    gc.enable()
    _libc.malloc_trim(0)
