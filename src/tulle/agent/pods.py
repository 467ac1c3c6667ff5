"""Pod manifests as processes: what should run is compared with what runs, and made so.

Each Pod has one task that is level-triggered: it looks at what is wanted and what is there, takes
one step, and looks again. Processes outlive the agent; the next one takes them over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from tulle.edges import enter
from tulle.errors import TulleError
from tulle.model.kubernetes import WEIGHT_ANNOTATION, Container, Pod
from tulle.model.world import Key, Workload

from . import readiness
from .backoff import Backoff
from .containers import ContainerRecord, ContainerRun, Launch, command_of, environment
from .records import Records, file_stem
from .workloads import Place, Workloads

LOG_LIMIT_BYTES = 10_000_000
LOG_CHECK_S = 5.0
_log = logging.getLogger(__name__)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class PodRecord(msgspec.Struct):
    """What runs, across restarts of the agent."""

    pod: Pod
    containers: dict[str, ContainerRecord] = {}


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    name: str
    running: bool
    ready: bool
    restarts: int
    exit_code: int | None  # of its last run
    reason: str


class Pods:
    """Keeps Pods running.

    `admit` is awaited before the first process of a Pod starts: when it returns, policy must be
    in force on the workload. `on_change` is called when a workload came, went, or changed its
    readiness.
    """

    def __init__(
        self,
        workloads: Workloads,
        state_dir: Path,
        admit: Callable[[Workload], Awaitable[None]],
        on_change: Callable[[], None],
    ) -> None:
        self._workloads, self._admit, self._on_change = workloads, admit, on_change
        self._logs = state_dir / "logs"
        self._store = Records(state_dir / "pods", PodRecord)
        self._records: dict[Key, PodRecord] = {}
        self._wanted: dict[Key, Pod] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._looks: dict[Key, asyncio.Event] = {}
        self._runs: dict[Key, dict[str, ContainerRun]] = {}
        self._ready: dict[Key, dict[str, bool]] = {}
        self._problems: dict[Key, str] = {}
        self._log_task: asyncio.Task[None] | None = None

    def recover(self) -> None:
        """Read what an earlier agent ran. Call it once, after `Workloads.recover`."""
        there = set(self._workloads.owned_by("pod"))
        for key, record in self._store.load():
            if key in there:
                self._records[key] = record
            else:
                self._store.remove(key)

    async def reconcile(self, pods: Mapping[Key, Pod]) -> None:
        """Make these Pods, which have passed validation, run, and no others.

        Returns at once; `settled` waits.
        """
        if self._log_task is None:
            self._log_task = asyncio.create_task(self._trim_logs())
        before, self._wanted = self._wanted, dict(pods)
        for key in {*self._wanted, *self._records, *self._workloads.owned_by("pod")}:
            if key not in self._tasks:
                self._looks[key] = asyncio.Event()
                self._tasks[key] = asyncio.create_task(self._keep(key))
            elif before.get(key) != self._wanted.get(key):
                self._looks[key].set()

    async def settled(self) -> None:
        """Wait until no Pod that is not wanted is left."""
        ending = [task for key, task in self._tasks.items() if key not in self._wanted]
        await asyncio.gather(*ending)

    async def close(self) -> None:
        """Stop watching; all processes run on, for the next agent."""
        tasks = [*self._tasks.values(), *([self._log_task] if self._log_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def problems(self) -> dict[Key, str]:
        """Pods that cannot run now, and why."""
        return dict(self._problems)

    def status(self, key: Key) -> list[ContainerStatus]:
        """The containers of a Pod; none if it is not there."""
        ready = self._ready.get(key, {})
        return [
            ContainerStatus(
                name=name,
                running=run.running,
                ready=run.running and ready.get(name, False),
                restarts=run.record.restarts,
                exit_code=run.record.exit_code,
                reason=run.problem,
            )
            for name, run in self._runs.get(key, {}).items()
        ]

    async def _keep(self, key: Key) -> None:
        """The task of one Pod: step by step until it is neither wanted nor there."""
        backoff = Backoff()
        look = self._looks[key]
        while key in self._wanted or self._is_there(key):
            look.clear()
            begun_s = time.monotonic()
            try:
                await self._step(key)
            except Exception as error:  # whatever it is, this Pod alone has the trouble
                self._tell(key, error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(backoff.after(time.monotonic() - begun_s)):
                        await look.wait()
        self._problems.pop(key, None)
        del self._tasks[key], self._looks[key]

    def _tell(self, key: Key, error: Exception) -> None:
        if isinstance(error, TulleError | OSError):
            self._problems[key] = str(error)
        else:
            self._problems[key] = f"internal error: {error!r}"
            _log.error("Pod %s/%s", *key, exc_info=error)
        self._on_change()

    def _is_there(self, key: Key) -> bool:
        return key in self._records or key in self._workloads.owned_by("pod")

    async def _step(self, key: Key) -> None:
        """Stop what is not wanted; otherwise run what is until somebody says to look again."""
        wanted, record = self._wanted.get(key), self._records.get(key)
        if wanted is None or (record and _spec(record.pod) != _spec(wanted)):
            await self._stop(key, record)
            return
        await self._ensure(key, wanted)
        running = asyncio.create_task(self._run(key, wanted))
        try:
            await self._hold(key, _spec(wanted), running)
        finally:
            running.cancel()
            await asyncio.wait((running,))

    async def _hold(self, key: Key, spec: bytes, running: asyncio.Task[None]) -> None:
        """Return when another spec is wanted, or none; raise what `running` raises."""
        look = self._looks[key]
        while (wanted := self._wanted.get(key)) is not None and _spec(wanted) == spec:
            look.clear()
            await self._ensure(key, wanted)
            looking = asyncio.create_task(look.wait())
            await asyncio.wait((running, looking), return_when=asyncio.FIRST_COMPLETED)
            looking.cancel()
            if running.done():
                running.result()
                return

    async def _ensure(self, key: Key, pod: Pod) -> None:
        """The Pod's record and workload, made or brought up to date."""
        record = self._records.setdefault(key, PodRecord(pod))
        record.pod = pod
        self._save(key)
        labels = pod.metadata.labels
        weight = int(pod.metadata.annotations.get(WEIGHT_ANNOTATION, "1"))
        if key in self._workloads.all():
            if self._workloads.update(key, labels=labels, weight=weight, terminating=False):
                self._on_change()
            return
        ports = [port for container in pod.spec.containers for port in container.ports]
        make = partial(
            self._workloads.create,
            *key,
            labels,
            ports,
            weight,
            owner="pod",
            ready=False,
            service_account=pod.spec.service_account_name or "default",
        )
        await asyncio.to_thread(make)
        self._on_change()

    async def _run(self, key: Key, pod: Pod) -> None:
        """Run all containers; return when all have ended for good, and wait for ever then."""
        workload = self._workloads.all()[key]
        await self._admit(workload)
        # of one that is taken over, readiness stands until a probe says otherwise
        self._ready[key] = {c.name: workload.ready for c in pod.spec.containers}
        runs = self._make_runs(key, pod)
        self._problems.pop(key, None)
        self._container_changed(key)
        try:
            async with asyncio.TaskGroup() as group:
                for container in pod.spec.containers:
                    beside = partial(self._watch_readiness, key, container, workload)
                    group.create_task(runs[container.name].run(beside))
        except* Exception as errors:
            raise errors.exceptions[0] from None
        self._update_ready(key)
        await asyncio.Event().wait()

    def _make_runs(self, key: Key, pod: Pod) -> dict[str, ContainerRun]:
        """The Pod's containers, each knowing whether it runs already."""
        if key not in self._runs:
            self._runs[key] = self._new_runs(key, pod)
        for run in self._runs[key].values():
            run.adopt()
        return self._runs[key]

    def _new_runs(self, key: Key, pod: Pod) -> dict[str, ContainerRun]:
        place = self._workloads.place(key)
        records = self._records[key].containers
        return {
            container.name: ContainerRun(
                self._launch(key, pod, container, place),
                place.cgroup / container.name,
                self._workloads.cgroups,
                pod.spec.restart_policy,
                records.setdefault(container.name, ContainerRecord()),
                partial(self._container_changed, key),
            )
            for container in pod.spec.containers
        }

    def _launch(self, key: Key, pod: Pod, container: Container, place: Place) -> Launch:
        log = self._logs / file_stem(key) / f"{container.name}.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        hostname = pod.spec.hostname or key[1]
        argv = enter.argv(
            command_of(container),
            netns=str(place.netns),
            cgroup=str(place.cgroup / container.name),
            hosts=str(place.hosts),
            hostname=hostname,
            cwd=container.working_dir or "/",
            log=str(log),
            parent=os.getpid(),
        )
        path = os.environ.get("PATH", _DEFAULT_PATH)
        base = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "HOSTNAME": hostname}
        return Launch(argv, {**base, **environment(container)})

    async def _watch_readiness(self, key: Key, container: Container, workload: Workload) -> None:
        probe = container.readiness_probe
        report = partial(self._report_ready, key, container.name)
        if probe is None or probe.tcp_socket is None:
            report(True)
            return
        target = (workload.addresses[0], readiness.probe_port(container, probe.tcp_socket))
        ready = self._ready[key][container.name]
        await readiness.watch(probe, target, self._workloads.node_netns, ready, report)

    def _report_ready(self, key: Key, container: str, ready: bool) -> None:
        self._ready[key][container] = ready
        self._update_ready(key)

    def _container_changed(self, key: Key) -> None:
        self._save(key)
        for name, run in self._runs[key].items():
            if not run.running:
                self._ready[key][name] = False
        self._update_ready(key)

    def _update_ready(self, key: Key) -> None:
        if self._workloads.update(key, ready=all(self._ready[key].values())):
            self._on_change()

    async def _stop(self, key: Key, record: PodRecord | None) -> None:
        """End the Pod's processes within its grace period, then its workload."""
        if key in self._workloads.all():
            if self._workloads.update(key, terminating=True):
                self._on_change()
            if record:
                await self._end_containers(key, record.pod)
        if key in self._workloads.owned_by("pod"):
            await asyncio.to_thread(self._workloads.delete, key)
        self._runs.pop(key, None)
        self._ready.pop(key, None)
        self._records.pop(key, None)
        self._store.remove(key)
        shutil.rmtree(self._logs / file_stem(key), ignore_errors=True)
        self._on_change()

    async def _end_containers(self, key: Key, pod: Pod) -> None:
        """As long as they live they may serve, where nothing else does (KEP-1669)."""
        ready = self._workloads.all()[key].ready
        states = self._ready.setdefault(key, {c.name: ready for c in pod.spec.containers})
        grace_s = float(pod.spec.termination_grace_period_seconds)

        async def end(name: str, run: ContainerRun) -> None:
            await run.stop(grace_s)
            states[name] = False
            self._update_ready(key)

        runs = self._make_runs(key, pod)
        await asyncio.gather(*(end(name, run) for name, run in runs.items()))

    def _save(self, key: Key) -> None:
        self._store.save(key, self._records[key])

    async def _trim_logs(self) -> None:
        """Empty a log that has grown too long; its writer appends, and goes on at its start."""
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            for log in self._logs.glob("*/*.log"):
                with suppress(FileNotFoundError):
                    if log.stat().st_size > LOG_LIMIT_BYTES:
                        os.truncate(log, 0)


def _spec(pod: Pod) -> bytes:
    """What a Pod must be started anew for; labels and annotations are not among it."""
    return msgspec.json.encode(pod.spec, order="deterministic")
