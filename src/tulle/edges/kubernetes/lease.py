"""One of many holds a Lease, and knows in time when it does not any more.

As client-go does it: whoever sees a lease unchanged for `duration_s`, by its own clock, may take
it. A holder renews it every `retry_s` and gives up after `deadline_s` without success, counted from
before the request, and so before anybody else can have counted to `duration_s`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from tulle.errors import Unavailable

from .client import Client
from .discovery import Resource
from .errors import NotFound
from .wire import Unreadable

LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", True)
_JITTER = 0.2
_RELEASE_S = 2.0

_Json = dict[str, Any]
_records = msgspec.json.Decoder(_Json)


@dataclass(frozen=True, slots=True)
class Times:
    duration_s: float = 15.0
    deadline_s: float = 10.0
    retry_s: float = 2.0


class Lease:
    """One candidate for one lease. `identity` is its own among all candidates."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        times: Times | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._identity = client, identity
        self._namespace, self._name = namespace, name
        self._path = LEASES.path(namespace, name)
        self._times = times or Times()
        self._clock, self._wall = clock, wall
        self._record: _Json | None = None  # as last seen, if it is the last that we know of
        self._seen: tuple[str, float] = ("", 0.0)  # its version, and when we saw it first
        self._until: float | None = None  # we hold it as long as the clock is below
        self._is_told = False
        self.holder = ""  # as last seen: for status
        self.problem = ""

    def holds(self) -> bool:
        """Now. Ask before each thing that only the holder may do."""
        return self._until is not None and self._clock() < self._until

    async def hold(self, on_gain: Callable[[], object], on_loss: Callable[[], object]) -> None:
        """Until cancelled; then it is given back, so that another need not wait for its end."""
        try:
            while True:
                await self._try()
                self._tell(on_gain, on_loss)
                await asyncio.sleep(self._pause())
                self._tell(on_gain, on_loss)
        finally:
            was_held, self._until = self.holds(), None
            self._tell(on_gain, on_loss)
            if was_held:
                await self._release()

    def _tell(self, on_gain: Callable[[], object], on_loss: Callable[[], object]) -> None:
        if (now := self.holds()) != self._is_told:
            self._is_told = now
            (on_gain if now else on_loss)()

    def _pause(self) -> float:
        pause = self._times.retry_s * (1 + _JITTER * random.random())  # noqa: S311 - no secret
        left = self._until - self._clock() if self._until is not None else pause
        return min(pause, left) if left > 0 else pause

    async def _try(self) -> None:
        """Take or renew it, if it is ours to have."""
        limit = self._times.deadline_s / 2
        if self._until is not None and self.holds():
            limit = min(limit, self._until - self._clock())
        try:
            async with asyncio.timeout(limit):
                await self._round()
            self.problem = ""
        except TimeoutError:
            self._record, self.problem = None, "API server: no answer in time"
        except Unavailable as error:  # a Conflict too: somebody was quicker
            self._record, self.problem = None, str(error)

    async def _round(self) -> None:
        began = self._clock()
        if self._record is None or not self.holds():
            self._record = await self._look()
        if self._record is None:
            path = LEASES.path(self._namespace)
            self._took(await self._client.create(path, self._claim({})), began)
        elif self._may_take():
            self._took(await self._client.put(self._path, self._claim(self._record)), began)

    async def _look(self) -> _Json | None:
        try:
            record = _read(await self._client.get(self._path))
        except NotFound:
            return None
        version = record["metadata"].get("resourceVersion", "")
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        self.holder = record["spec"].get("holderIdentity") or ""
        if self.holder != self._identity:
            self._until = None
        return record

    def _may_take(self) -> bool:
        if self.holder in ("", self._identity):
            return True
        return self._clock() >= self._seen[1] + self._times.duration_s

    def _took(self, answer: bytes, began: float) -> None:
        self._record = _read(answer)
        self._seen = (self._record["metadata"].get("resourceVersion", ""), self._clock())
        self.holder = self._identity
        self._until = began + self._times.deadline_s

    def _claim(self, record: _Json) -> bytes:
        spec = dict(record.get("spec", {}))
        now = f"{self._wall():%Y-%m-%dT%H:%M:%S.%fZ}"
        if spec.get("holderIdentity") != self._identity:
            is_new = not record
            transitions = 0 if is_new else int(spec.get("leaseTransitions") or 0) + 1
            spec |= {"acquireTime": now, "leaseTransitions": transitions}
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, math.ceil(self._times.duration_s)),
            "renewTime": now,
        }
        return self._body(record, spec)

    def _body(self, record: _Json, spec: _Json) -> bytes:
        own = {"name": self._name, "namespace": self._namespace}
        meta = record.get("metadata", own)
        kind = {"apiVersion": LEASES.group_version, "kind": LEASES.kind}
        return msgspec.json.encode({**kind, "metadata": meta, "spec": spec})

    async def _release(self) -> None:
        """As well as it goes: whoever waits for its end instead loses time only."""
        if self._record is None:
            return
        spec = {**self._record["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._client.put(self._path, self._body(self._record, spec))
        except (TimeoutError, Unavailable) as error:
            self.problem = str(error)


def _read(body: bytes) -> _Json:
    try:
        record = _records.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"API server: a Lease that cannot be read: {error}") from error
    for name in ("metadata", "spec"):
        if not isinstance(record.setdefault(name, {}), dict):
            raise Unreadable(f"API server: a Lease that cannot be read: {name}")
    return record
