"""Applications hear at once that what they talk to is gone: their sockets are ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock

from tulle.edges import netns
from tulle.edges.bpf.sockets import ROWS, Gone, SocketSweep
from tulle.errors import KernelError

log = logging.getLogger("tulle")

Namespaces = Callable[[], Mapping[int, Path | None]]


class Vanished:
    """Sweeps the sockets of every network namespace of the node after backends have gone.

    On a thread and after the change is in force: neither the change nor anything else waits for it.
    """

    def __init__(self, sweep: SocketSweep, namespaces: Namespaces) -> None:
        """`namespaces` has each interface's, and under 0 the node's own; None is the agent's."""
        self._sweep, self._namespaces = sweep, namespaces
        self._lock = Lock()
        self._going: Gone = {}  # told by a pass that has not ended: it is there still
        self._rows: Gone = {}
        self._wanted = asyncio.Event()

    def add(self, rows: Gone) -> None:
        """What is about to go. From any thread; `sweep_soon` follows when it has gone."""
        with self._lock:
            self._going.update(rows)

    def sweep_soon(self) -> None:
        with self._lock:
            self._rows.update(self._going)
            self._going = {}
            wanted = bool(self._rows)
        if wanted:
            self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await asyncio.to_thread(self._sweep_all)
            except KernelError as error:
                log.error("sockets to what has gone are not ended before the next pass: %s", error)

    def _sweep_all(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, {}
        remaining = iter(rows.items())
        try:
            while batch := dict(islice(remaining, ROWS)):
                self._sweep_batch(batch)
        except KernelError:
            with self._lock:
                self._rows = rows | self._rows
            raise

    def _sweep_batch(self, batch: Gone) -> None:
        self._sweep.begin(batch)
        try:
            holders = self._sweep.holders(batch)
            where = self._namespaces()
            # the node's own may be that which the thread begins in
            order = sorted(where, key=lambda ifindex: where[ifindex] is not None)
            places = [(where[ifindex], ifindex in holders) for ifindex in order]
            netns.on_thread(partial(self._sweep_each, places))
        finally:
            self._sweep.end()

    def _sweep_each(self, places: Sequence[tuple[Path | None, bool]]) -> None:
        for namespace, streams in places:
            try:
                if namespace is not None:
                    netns.enter(namespace)
                self._sweep.run(streams=streams)
            except KernelError as error:
                # else its sockets have ended with it
                if namespace is None or netns.exists(namespace):
                    log.error("sockets to what has gone are not ended: %s", error)
