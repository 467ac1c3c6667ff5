"""The Envoys of one scope: two of a kind, of which the elder serves and the younger stands by, or
one alone if the operator wants it so.

Both have the same configuration and listen on the same ports; the kernel gives connections to the
elder, and to the other one in the moment in which that dies (edges/bpf/elder.py). When they should
be started otherwise, two new ones come up beside them, and the old ones drain once the new ones
have all of their configuration. Envoys outlive the agent; the next one takes them over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec

from tulle.edges import netlink, netns
from tulle.edges.bpf import elder
from tulle.edges.cgroup import NodeCgroup
from tulle.edges.envoy import admin, process
from tulle.edges.envoy.bootstrap import Bootstrap
from tulle.edges.envoy.launch import USER, most_files
from tulle.errors import TulleError, Unavailable
from tulle.model.paths import NodePaths, place_of
from tulle.model.scopes import Scope

from .backoff import Backoff
from .options import ProxyOptions
from .records import write_atomically

log = logging.getLogger("tulle")

STEP_S = 1.0  # at most between two looks at what drains and what is logged
BUSY_STEP_S = 0.02  # while one starts
HELD_S = 1.0  # who lived so long is started again at once
DRAIN_S = 30.0
END_S = 2.0  # from SIGTERM to SIGKILL
LOG_LIMIT_BYTES = 4_000_000  # of each
MEMORY_BYTES = 1 << 30  # of both, if nobody says: a thousand routes take some 100 MB in each

State = Literal["starting", "serving", "standing by", "draining"]


class Record(msgspec.Struct):
    """What an agent must know of an Envoy that an earlier one started."""

    number: int
    spec: str  # digest of how it was started
    pid: int
    started: int
    draining_since_s: float | None = None  # CLOCK_MONOTONIC


@dataclass(frozen=True, slots=True)
class EnvoyStatus:
    number: int
    pid: int
    state: State


class Envoys:
    """`settled` says which Envoys, by id, have all of their configuration.

    `wanted` is whether there is anything for them to do, `memory_bytes` what both may have
    together, 0: as much as any. Methods are for the event loop's thread.
    """

    def __init__(
        self,
        paths: NodePaths,
        scope: Scope,
        cgroups: NodeCgroup,
        options: ProxyOptions,
        settled: Callable[[], frozenset[str]],
    ) -> None:
        self.problem = ""
        self.restarts = 0  # by this agent, of what ended by itself
        self.memory_bytes = 0
        self.is_limited = True  # whether the limit holds, as far as anybody has tried
        self._limit_bytes = 0  # that is in force
        self._paths, self._scope = paths, scope
        self._cgroups, self._workers = cgroups, options.workers
        self._instances = 2 if options.standby else 1
        self._settled = settled
        self._wanted: bool | None = None  # nobody has said yet
        self._wake = asyncio.Event()
        self._stepping = asyncio.Lock()
        self._records: list[Record] = []  # the eldest first
        self._last = 0
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._watches: dict[int, process.Watch] = {}
        self._backoff, self._not_before_s = Backoff(), 0.0
        self._began_s: dict[int, float] = {}
        self._program = -1

    @property
    def cgroup(self) -> Path:
        """All of them are below, and nothing else."""
        return self._cgroups.root / "proxy" / place_of(self._scope)

    @property
    def limit_bytes(self) -> int | None:
        """Of memory, of all of them; None if nothing limits it."""
        return self._limit_bytes if self.is_limited and self._limit_bytes else None

    @property
    def is_idle(self) -> bool:
        """Nothing to do, and nothing left."""
        return self._wanted is False and not self._records

    @property
    def wanted(self) -> bool:
        return bool(self._wanted)

    @wanted.setter
    def wanted(self, value: bool) -> None:
        if value != self._wanted:
            self._wanted = value
            self._wake.set()

    @property
    def ids(self) -> list[str]:
        """Of those that are to serve, as ADS knows them."""
        return [self._id(record) for record in self._records if record.draining_since_s is None]

    def status(self) -> list[EnvoyStatus]:
        settled, found, serves = self._settled(), [], False
        for record in list(self._records):
            state: State = "starting"
            if record.draining_since_s is not None:
                state = "draining"
            elif self._id(record) in settled:
                state, serves = ("standing by" if serves else "serving"), True
            found.append(EnvoyStatus(record.number, record.pid, state))
        return found

    async def run(self) -> None:
        """Until cancelled; what runs then goes on."""
        try:
            await asyncio.to_thread(self._recover)
        except (TulleError, OSError) as error:
            self._failed(str(error), 0.0)
        for record in self._records:
            self._watch(record)
        try:
            while True:
                try:
                    async with self._stepping:
                        delay_s = await self._step()
                except (TulleError, OSError) as error:
                    self._failed(str(error), 0.0)
                    delay_s = STEP_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            for watch in self._watches.values():
                watch.close()
            if self._program >= 0:
                os.close(self._program)

    async def stop(self) -> None:
        """End all at once: the node is being taken down."""
        self._wanted = False
        async with self._stepping:
            for record in list(self._records):
                await self._end(record)

    # --- one look at all of them ---

    async def _step(self) -> float:
        """Seconds until the next is due, if nothing happens before."""
        for record in [each for each in self._records if not _process(each).is_alive]:
            await self._ended(record)
        now = [each for each in self._records if each.draining_since_s is None]
        is_done = True
        if self._wanted:
            is_done = await self._hold(now)
        elif self._wanted is False:
            self.problem = ""
            await self._drain(now)
        await self._end_drained()
        self._trim_logs()
        return STEP_S if is_done else BUSY_STEP_S

    async def _hold(self, now: list[Record]) -> bool:
        """Take a step towards as many as are wanted, as they should be; whether they are."""
        if self._limit_bytes != (self.memory_bytes or MEMORY_BYTES):
            await asyncio.to_thread(self._limit, self.memory_bytes or MEMORY_BYTES)
        spec = self._spec()
        current = [each for each in now if each.spec == spec]
        if not self._are_settled(current):
            return False
        if len(current) < self._instances:
            if time.monotonic() >= self._not_before_s:  # one after the other: so one is ready soon
                self._start(spec)
            return False
        self.problem = ""
        await self._drain([each for each in now if each not in current[: self._instances]])
        return True

    def _limit(self, limit_bytes: int) -> None:
        path = self._cgroups.make(*self._place)
        self.is_limited = self._cgroups.limit_memory(path, limit_bytes)
        self._limit_bytes = limit_bytes

    def _are_settled(self, records: list[Record]) -> bool:
        settled = self._settled()
        return all(self._id(record) in settled for record in records)

    async def _ended(self, record: Record) -> None:
        held_s = time.monotonic() - self._began_s.get(record.number, 0.0)
        await self._forget(record)
        if record.draining_since_s is None and self._wanted:
            self.restarts += 1
            self._failed(f"an Envoy ended: {self._last_words(record.number)}", held_s)

    def _failed(self, problem: str, held_s: float) -> None:
        if problem != self.problem:
            log.error("the proxy: %s", problem)
        self.problem = problem
        if held_s < HELD_S:
            self._not_before_s = time.monotonic() + self._backoff.after(held_s)

    async def _drain(self, records: list[Record]) -> None:
        """They take no new connections from now on, and end when the old ones have."""
        for record in records:
            record.draining_since_s = time.monotonic()
            try:
                await admin.stop_listening(self.admin_socket(record.number))
            except Unavailable as error:  # not up yet, or not well: nothing to wait for
                log.info("%s", error)
                record.draining_since_s = 0.0
        if records:
            self._save()

    async def _end_drained(self) -> None:
        for record in list(self._records):
            if record.draining_since_s is None:
                continue
            is_over = time.monotonic() - record.draining_since_s > DRAIN_S
            if is_over or not await self._has_connections(record):
                await self._end(record)

    async def _has_connections(self, record: Record) -> bool:
        """One that has no time to say it is taken for one that has: DRAIN_S ends it anyway."""
        try:
            return await admin.connections(self.admin_socket(record.number)) > 0
        except Unavailable:
            return True

    # --- one of them ---

    def _start(self, spec: str) -> None:
        """If the agent dies before there is a record, the next one ends what has none."""
        if self._program < 0:
            self._program = elder.load(self._workers)
            # what a dying Envoy has not accepted yet, another one does
            migrate = partial(netlink.sysctl, "ipv4/tcp_migrate_req", "1")
            netns.run_in(self._paths.netns, migrate)
        self._last += 1
        number = self._last
        cgroup = self._cgroups.make(*self._place, str(number))
        config = self._file(number, "pb")
        write_atomically(config, self._bootstrap(number).pack())
        os.chown(config, USER, USER)
        child = process.start(
            self._arguments(number),
            cgroup=cgroup,
            netns=self._paths.netns,
            cwd=self._home,
            log=self._file(number, "log"),
            program=self._program,
        )
        found = process.process_of(child.pid)
        record = Record(number, spec, found.pid, found.started)
        self._records.append(record)
        self._children[number] = child
        self._began_s[number] = time.monotonic()
        self._watch(record)
        self._save()

    def _arguments(self, number: int) -> list[str]:
        return [
            *("--config-path", f"../{number}.pb"),
            *("--concurrency", str(self._workers)),
            "--disable-hot-restart",
            *("--log-level", "warning"),
            "--skip-deprecated-logs",
            *("--drain-time-s", str(int(DRAIN_S))),
            *("--drain-strategy", "immediate"),
        ]

    async def _end(self, record: Record) -> None:
        """SIGTERM, and after END_S all that is left is killed."""
        ended = asyncio.Event()
        watch = _process(record).watch(ended)
        _process(record).signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await ended.wait()
        watch.close()
        await self._forget(record)

    async def _forget(self, record: Record) -> None:
        await asyncio.to_thread(self._cgroups.remove, self.cgroup / str(record.number))
        if child := self._children.pop(record.number, None):
            child.wait()
        if watch := self._watches.pop(record.number, None):
            watch.close()
        self._records.remove(record)
        self._began_s.pop(record.number, None)
        self._file(record.number, "pb").unlink(missing_ok=True)
        self.admin_socket(record.number).unlink(missing_ok=True)
        self._keep_last_log(record.number)
        self._save()

    def _watch(self, record: Record) -> None:
        self._watches[record.number] = _process(record).watch(self._wake)

    # --- what an agent leaves to the next ---

    def _recover(self) -> None:
        with suppress(FileNotFoundError, msgspec.MsgspecError):
            content = self._state_file.read_bytes()
            self._records = msgspec.json.decode(content, type=list[Record])
        known = {str(record.number) for record in self._records}
        self._last = max((record.number for record in self._records), default=0)
        for cgroup in self._cgroups.children(self.cgroup):
            if cgroup.name not in known:
                self._cgroups.remove(cgroup)

    def _save(self) -> None:
        write_atomically(self._state_file, msgspec.json.encode(self._records))

    @property
    def _state_file(self) -> Path:
        return self._directory / "envoys.json"

    @property
    def _directory(self) -> Path:
        return self._paths.proxy(self._scope)

    @property
    def _place(self) -> tuple[str, ...]:
        """Of the cgroup."""
        return self.cgroup.relative_to(self._cgroups.root).parts

    @property
    def _home(self) -> Path:
        """Where Envoys are, and the one place where they may write."""
        return self._directory / "run"

    def make_place(self) -> None:
        """The directories, root's, through which Envoys come to their own."""
        for directory in (self._paths.proxies, self._directory):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o711)
        self._home.mkdir(mode=0o700, exist_ok=True)
        os.chown(self._home, USER, USER)

    def admin_socket(self, number: int) -> Path:
        return self._home / f"{number}.admin"

    def _file(self, number: int, suffix: str) -> Path:
        return self._directory / f"{number}.{suffix}"

    def _id(self, record: Record) -> str:
        return self._bootstrap(record.number).id

    def _bootstrap(self, number: int) -> Bootstrap:
        return Bootstrap(
            node=self._paths.node,
            id=f"{self._paths.node}/{self._scope}/{number}",
            agent=Path("..", self._paths.ads(self._scope).name),
            admin=Path(self.admin_socket(number).name),
            files=most_files(),
        )

    def _spec(self) -> str:
        """A digest of all that tells one that was started now from one that was before."""
        stat = self._binary.stat()
        parts = (self._binary, stat.st_size, stat.st_mtime_ns, *self._arguments(0))
        whole = repr(parts).encode() + self._packed_bootstrap
        return blake2b(whole, digest_size=8).hexdigest()

    @cached_property
    def _binary(self) -> Path:
        """Looked for once, as that takes milliseconds, and a step is due every second or sooner."""
        return process.binary()[0]

    @cached_property
    def _packed_bootstrap(self) -> bytes:
        return self._bootstrap(0).pack()

    # --- logs ---

    def _trim_logs(self) -> None:
        """Its writer appends, and goes on at the start."""
        for record in self._records:
            path = self._file(record.number, "log")
            with suppress(FileNotFoundError):
                if path.stat().st_size > LOG_LIMIT_BYTES:
                    os.truncate(path, 0)

    def _keep_last_log(self, number: int) -> None:
        with suppress(FileNotFoundError):
            self._file(number, "log").replace(self._directory / "last.log")

    def _last_words(self, number: int) -> str:
        try:
            lines = (self._directory / "last.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return lines[-1] if lines else "it said nothing"


def _process(record: Record) -> process.Process:
    return process.Process(record.pid, record.started)
