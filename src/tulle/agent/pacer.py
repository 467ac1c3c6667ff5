"""Any number of requests, as few passes as keep the promise that one begins after each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tulle.errors import Unavailable

STOPPING = "the agent is stopping"


class Pacer:
    """Runs `work` whenever it was asked to, one pass at a time.

    Requests that come while a pass runs share the next one. A pass that raises is reported to
    those who wait for it, and tried again after `retry_s`.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], retry_s: float = 1.0) -> None:
        self._work, self._retry_s = work, retry_s
        self._asked = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._closed = False

    def request(self) -> None:
        self._asked.set()

    async def done(self) -> None:
        """Waits for a pass that begins now or later; raises what it raised.

        Raises Unavailable if there will be none.
        """
        if self._closed:
            raise Unavailable(STOPPING)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._asked.set()
        await waiter

    async def run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiters, self._waiters = self._waiters, []
            try:
                await self._work()
            except Exception as error:
                _settle(waiters, error)
                asyncio.get_running_loop().call_later(self._retry_s, self._asked.set)
            except BaseException:
                self._waiters += waiters  # `close` tells them
                raise
            else:
                _settle(waiters, None)

    def close(self) -> None:
        """No pass will come any more: whoever waits for one is told so."""
        self._closed = True
        _settle(self._waiters, Unavailable(STOPPING))


def _settle(waiters: list[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
