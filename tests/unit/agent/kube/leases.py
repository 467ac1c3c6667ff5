"""A lease that the test gives and takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class FakeLease:
    """`lose` first, then another `gain`: no two hold it."""

    def __init__(self) -> None:
        self.gain: Callable[[], object] = lambda: None
        self.lose: Callable[[], object] = lambda: None

    async def hold(self, on_gain: Callable[[], object], on_loss: Callable[[], object]) -> None:
        self.gain, self.lose = on_gain, on_loss
        await asyncio.Event().wait()
