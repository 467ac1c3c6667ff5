"""One container of a Pod: a command in a cgroup of its own, started, watched, started again.

The command belongs to the kernel, not to the agent: it lives on when the agent dies, and the
next agent finds it in its cgroup.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from tulle.edges.cgroup import NodeCgroup
from tulle.errors import TulleError
from tulle.model.kubernetes import Container

from .backoff import Backoff

RestartPolicy = Literal["Always", "OnFailure", "Never"]

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")


class ContainerRecord(msgspec.Struct):
    """What an agent must know of a container that an earlier one started."""

    pid: int = 0
    restarts: int = 0
    exit_code: int | None = None  # of the last run, if it ended and somebody saw it


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a container's command: everything but the Pod's place on the node."""

    argv: Sequence[str]
    env: Mapping[str, str]


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` replaced as Kubernetes does: `$$` is a `$`, an unknown name stays as it is.

    >>> expand("$(HOST):$(PORT) $$(HOST)", {"HOST": "db"})
    'db:$(PORT) $(HOST)'
    """

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def environment(container: Container) -> dict[str, str]:
    """The container's variables; one may refer to those before it."""
    env: dict[str, str] = {}
    for variable in container.env:
        env[variable.name] = expand(variable.value, env)
    return env


def command_of(container: Container) -> tuple[str, ...]:
    """The container's command and arguments, with its variables filled in."""
    env = environment(container)
    return tuple(expand(word, env) for word in (*container.command, *container.args))


def starts_again(policy: RestartPolicy, exit_code: int | None) -> bool:
    """Whether a container that ended so is started again; None is an end that nobody saw."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


class ContainerRun:
    """Keeps one container running in `cgroup`, by its restart policy."""

    def __init__(
        self,
        launch: Launch,
        cgroup: Path,
        cgroups: NodeCgroup,
        policy: RestartPolicy,
        record: ContainerRecord,
        changed: Callable[[], None],
    ) -> None:
        self.record, self.running, self.problem = record, False, ""
        self._launch, self._cgroup, self._cgroups = launch, cgroup, cgroups
        self._policy, self._changed = policy, changed
        self._child: subprocess.Popen[bytes] | None = None

    async def run(self, while_running: Callable[[], Awaitable[None]]) -> None:
        """Start, or take over what runs; return when it has ended for good.

        `while_running` is started with each run and cancelled at its end. Cancelling `run`
        leaves the command running.
        """
        backoff = Backoff()
        adopted = self.adopt()
        if not adopted and self._ended_before():
            return
        while True:
            begun_s = time.monotonic()
            if not adopted:
                await self._start()
            adopted = False
            if self.running:
                await self._watch(while_running)
            if not starts_again(self._policy, self.record.exit_code):
                return
            await asyncio.sleep(backoff.after(time.monotonic() - begun_s))
            self.record.restarts += 1

    async def stop(self, grace_s: float) -> None:
        """SIGTERM to the main process; after `grace_s`, or its end, SIGKILL to the rest."""
        if self.adopt():
            with suppress(ProcessLookupError):
                os.kill(self.record.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await _exited(self.record.pid)
        await self._clean_up()

    def adopt(self) -> bool:
        """Find what runs already, and whether it does."""
        pids = self._cgroups.pids(self._cgroup)
        if pids and not self.record.pid:  # the agent was killed before it wrote the pid down
            self.record.pid = min(pids, key=_started_at)
        self.running = self.record.pid in pids
        if not self.running and self._child is not None:
            self.record.exit_code = self._end_child()
        return self.running

    def _ended_before(self) -> bool:
        """Whether it ran under an earlier agent, and its end was final."""
        ran = self.record.pid != 0 or self._cgroups.ever_used(self._cgroup)
        return ran and not starts_again(self._policy, self.record.exit_code)

    async def _start(self) -> None:
        await self._clean_up()  # leftovers of a run whose main process ended
        self._cgroups.make(*self._cgroup.relative_to(self._cgroups.root).parts)
        self.record.pid, self.record.exit_code, self.problem = 0, None, ""
        self._changed()
        try:
            # blocks for a millisecond, and its child watcher would miss what is taken over
            self._child = subprocess.Popen(  # noqa: ASYNC220
                self._launch.argv,
                env=dict(self._launch.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self.record.exit_code, self.problem = 126, f"cannot start: {error.strerror}"
            return
        self.record.pid, self.running = self._child.pid, True
        self._changed()

    async def _watch(self, while_running: Callable[[], Awaitable[None]]) -> None:
        beside = asyncio.ensure_future(while_running())
        try:
            await _exited(self.record.pid)
        finally:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside
        self.record.exit_code = self._end_child()
        self.running, self.problem = False, _describe(self.record.exit_code)
        try:
            await self._clean_up()
        except TulleError as error:
            self.problem = str(error)
        self._changed()

    def _end_child(self) -> int | None:
        """Exit code as a shell gives it (128 + signal); None if it was not our child."""
        if self._child is None:
            return None
        self._child.kill()  # it may have been started, and not have joined the cgroup yet
        code, self._child = self._child.wait(), None
        return code if code >= 0 else 128 - code

    async def _clean_up(self) -> None:
        await asyncio.to_thread(self._cgroups.remove, self._cgroup)
        self._end_child()
        self.running = False


def _describe(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended while no agent watched"
    return f"exit code {exit_code}" if exit_code else ""


async def _exited(pid: int) -> None:
    """Wait for the end of any process, a child or not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _started_at(pid: int) -> int:
    """Start time of a process in clock ticks since boot, field 22 of proc(5) stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 2**63  # gone: never the oldest
    return int(stat.rpartition(")")[2].split()[19])
