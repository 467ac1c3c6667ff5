"""The kernel's event ring, read through shared memory on the reader's own clock.

Layout: Documentation/bpf/ringbuf.rst. One page with the consumer's position, one with the
producer's, then the data, mapped twice in a row so that no record is split.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from struct import pack_into, unpack_from

_BUSY, _HEADER = 1 << 31, 8


class EventRing:
    """Holds raw events; decoding one costs more than carrying a thousand."""

    def __init__(self, fd: int, size: int, event: int) -> None:
        """A ring of `size` bytes for events of `event` bytes each."""
        page, self._size, self._event = mmap.PAGESIZE, size, event
        self._stride = (_HEADER + event + 7) // 8 * 8
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._rest = mmap.mmap(
            fd, page + 2 * self._size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )

    def read(self) -> Iterator[bytes]:
        """Every event that is complete; each is given once, to one reader of the ring."""
        (position,) = unpack_from("=Q", self._consumer)
        (produced,) = unpack_from("=Q", self._rest)
        start = mmap.PAGESIZE + position % self._size
        # The header first, the data after it: a header that is not busy vouches for its data.
        end = start
        while end < start + produced - position:
            (length,) = unpack_from("=I", self._rest, end)
            if length & _BUSY:
                break
            end += self._stride
        raw = self._rest[start:end]
        pack_into("=Q", self._consumer, 0, position + len(raw))
        for at in range(_HEADER, len(raw), self._stride):
            yield raw[at : at + self._event]

    def close(self) -> None:
        self._consumer.close()
        self._rest.close()
