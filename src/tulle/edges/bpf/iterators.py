"""Programs that the kernel runs over each of its things of one kind, such as sockets or maps."""

from __future__ import annotations

import os

from tulle.errors import KernelError

from . import syscall

_CHUNK = 1 << 16


class BpfIterator:
    """Takes over the program's descriptor. Raises KernelError if the kernel cannot do it."""

    def __init__(self, program: int) -> None:
        self._program = program
        self._link = syscall.link_create(program, 0, syscall.TRACE_ITER)

    def run(self) -> bytes:
        """What the program wrote, over the things of the caller's namespaces.

        Raises KernelError.
        """
        cursor = syscall.iter_create(self._link)
        try:
            return b"".join(iter(lambda: os.read(cursor, _CHUNK), b""))
        except OSError as error:
            raise KernelError(error.errno or 0, "run a BPF iterator") from error
        finally:
            os.close(cursor)

    def close(self) -> None:
        os.close(self._link)
        os.close(self._program)
