"""A lease that the test gives and takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class FakeLease:
    """`lose` first, then another `gain`: no two hold it."""

    def __init__(self) -> None:
        self.holder = self.problem = ""
        self._is_held = False
        self._on_gain: Callable[[], object] = lambda: None
        self._on_loss: Callable[[], object] = lambda: None

    def holds(self) -> bool:
        return self._is_held

    async def hold(self, on_gain: Callable[[], object], on_loss: Callable[[], object]) -> None:
        self._on_gain, self._on_loss = on_gain, on_loss
        await asyncio.Event().wait()

    def gain(self) -> None:
        self._is_held = True
        self._on_gain()

    def run_out(self) -> None:
        """Nobody has been told yet."""
        self._is_held = False

    def lose(self) -> None:
        self._is_held = False
        self._on_loss()
