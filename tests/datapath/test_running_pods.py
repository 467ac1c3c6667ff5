"""Pods as real processes: started, restarted, replaced, ended, taken over."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tulle.agent.pods import Pods
from tulle.agent.workloads import Workloads
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.lab import node
from tulle.model.kubernetes import Pod
from tulle.model.paths import NodePaths
from tulle.model.world import Workload

WEB = ("shop", "web")
SERVER = "import socket, time; s = socket.create_server(('', 80)); time.sleep(60)"


@pytest.fixture
def lab() -> Iterator[NodePaths]:
    name = f"pods-{os.getpid()}"
    node.destroy(name)
    try:
        yield node.create(name)
    finally:
        node.destroy(name)
    assert name not in node.nodes()


class Agent:
    """Workloads and Pods of one node, as an agent has them."""

    def __init__(self, lab: NodePaths) -> None:
        cgroups = NodeCgroup(find_mount(), lab.cgroup)
        self.workloads = Workloads(lab.state, cgroups, lab.netns)
        self.changes = 0
        self.admitted: dict[str, list[int]] = {}  # name → its processes at that time
        self.stumble = 0
        self.removed = self.workloads.recover()
        self.pods = Pods(self.workloads, lab.state, self._admit, self._changed)
        self.pods.recover()

    async def _admit(self, workload: Workload) -> None:
        self.stumble -= 1
        if self.stumble >= 0:
            raise ZeroDivisionError
        self.admitted[workload.name] = self.pids(workload.name)

    def _changed(self) -> None:
        self.changes += 1

    async def want(self, *pods: Pod) -> None:
        await self.pods.reconcile({(p.metadata.namespace, p.metadata.name): p for p in pods})

    def pids(self, name: str = "web") -> list[int]:
        return sorted(self.workloads.cgroups.pids(self.workloads.cgroups.root / f"shop_{name}"))

    def ready(self) -> bool:
        return WEB in self.workloads.all() and self.workloads.all()[WEB].ready


def pod(
    *command: str, name: str = "web", labels: Any = None, probe: Any = None, **spec: Any
) -> Pod:
    container = {"name": "main", "command": list(command), "env": [{"name": "WHO", "value": "me"}]}
    if probe:
        container["readinessProbe"] = probe
    meta = {"name": name, "namespace": "shop", "labels": labels or {}}
    return msgspec.convert({"metadata": meta, "spec": {"containers": [container], **spec}}, Pod)


def with_agent(lab: NodePaths, story: Callable[[Agent], Awaitable[None]]) -> None:
    async def main() -> None:
        agent = Agent(lab)
        try:
            await story(agent)
        finally:
            await agent.pods.close()

    asyncio.run(main())


async def until(true: Callable[[], Any], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (what it waits for sends no event)
            await asyncio.sleep(0.02)


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()


async def sleeping(agent: Agent, what: str) -> None:
    """Wait until the one process of the Pod is `what`, past the launcher."""
    await until(lambda: [command_of(pid) for pid in agent.pids()] == [what])


def test_pod_runs_its_command_with_environment_and_log(lab: NodePaths) -> None:
    async def story(agent: Agent) -> None:
        await agent.want(pod("sh", "-c", "echo $WHO $(WHO) at $HOSTNAME; exec sleep 61"))
        await sleeping(agent, "sleep 61")
        log = lab.logs / "shop_web/main.log"
        assert log.read_text() == "me me at web\n"
        assert log.stat().st_mode & 0o777 == 0o600
        assert agent.ready() and agent.admitted == {"web": []}
        assert agent.workloads.gone() == []  # a Pod ends with its manifest

    with_agent(lab, story)


def test_readiness_follows_the_port(lab: NodePaths) -> None:
    async def story(agent: Agent) -> None:
        probe = {"tcpSocket": {"port": 80}, "failureThreshold": 1}
        delayed = f"import time; time.sleep(0.5); {SERVER}"
        await agent.want(pod(sys.executable, "-c", delayed, probe=probe))
        await until(lambda: agent.pids())
        assert not agent.ready()
        before = agent.changes
        await until(agent.ready)
        assert agent.changes > before
        os.kill(agent.pids()[0], signal.SIGSTOP)  # it still accepts: ready by tcpSocket
        os.kill(agent.pids()[0], signal.SIGKILL)
        await until(lambda: not agent.ready())
        await until(agent.ready)  # started again after a second

    with_agent(lab, story)


def test_restart_policies(lab: NodePaths) -> None:
    async def story(agent: Agent) -> None:
        await agent.want(
            pod("false", name="always"),
            pod("false", name="failure", restartPolicy="OnFailure"),
            pod("true", name="success", restartPolicy="OnFailure"),
            pod("sh", "-c", "kill -9 $$$$", name="never", restartPolicy="Never"),
            pod("no-such-command", name="missing", restartPolicy="Never"),
        )
        for _ in range(100):  # it starts at 0, 1 and 3 seconds
            await asyncio.sleep(0.2)
            status = {w.name: agent.pods.status(w.key)[0] for w in agent.workloads.all().values()}
            codes = {name: (s.exit_code, s.restarts) for name, s in status.items()}
            again = {codes.pop(name)[1] for name in ("always", "failure")}
            if again == {1}:
                break
        assert again == {1}
        assert codes == {"success": (0, 0), "never": (137, 0), "missing": (127, 0)}
        log = lab.logs / "shop_missing/main.log"
        assert log.read_text() == "tulle: no-such-command: command not found\n"

    with_agent(lab, story)


def test_nothing_starts_before_it_is_admitted_and_any_error_is_told(lab: NodePaths) -> None:
    async def story(agent: Agent) -> None:
        agent.stumble = 1
        await agent.want(pod("sleep", "61"))
        await until(agent.pods.problems)
        assert agent.pods.problems() == {WEB: "internal error: ZeroDivisionError()"}
        assert agent.pids() == [] and not agent.ready()
        await sleeping(agent, "sleep 61")  # after a second
        assert agent.admitted == {"web": []} and agent.pods.problems() == {}

    with_agent(lab, story)


def test_changed_spec_replaces_and_changed_labels_do_not(lab: NodePaths) -> None:
    async def story(agent: Agent) -> None:
        await agent.want(pod("sleep", "61"))
        await sleeping(agent, "sleep 61")
        before = agent.pids()
        await agent.want(pod("sleep", "61", labels={"app": "web"}))
        await until(lambda: agent.workloads.all()[WEB].labels == {"app": "web"})
        assert agent.pids() == before and agent.ready()
        old = agent.workloads.all()[WEB].addresses
        await agent.want(pod("sleep", "62", labels={"app": "web"}))
        await sleeping(agent, "sleep 62")
        assert agent.workloads.all()[WEB].addresses != old

    with_agent(lab, story)


def test_removed_pod_gets_sigterm_then_sigkill_after_its_grace(lab: NodePaths) -> None:
    async def story(agent: Agent) -> None:
        mark = lab.state / "mark"
        polite = f"trap 'echo term > {mark}; exit 0' TERM; sleep 61 & wait"
        stubborn = "trap '' TERM; sleep 61 & wait; sleep 61"
        await agent.want(
            pod("sh", "-c", polite),
            pod("sh", "-c", stubborn, name="stubborn", terminationGracePeriodSeconds=1),
        )
        await until(lambda: len(agent.pids()) == 2 and len(agent.pids("stubborn")) == 2)
        await asyncio.sleep(0.1)
        await agent.want()
        await until(lambda: not agent.workloads.all(), 0.9 + 4)
        await agent.pods.settled()
        assert mark.read_text() == "term\n"
        assert agent.pids() == agent.pids("stubborn") == []
        assert not (lab.logs / "shop_web").exists()

    with_agent(lab, story)


def test_killed_agents_pods_are_taken_over_neither_restarted_nor_doubled(lab: NodePaths) -> None:
    probe = {"tcpSocket": {"port": 80}}
    server = pod(sys.executable, "-c", SERVER, probe=probe)
    gone = pod("sleep", "61", name="gone")
    ended = pod("sh", "-c", "exit 3", name="ended", restartPolicy="Never")

    child = os.fork()
    if child == 0:

        async def first(agent: Agent) -> None:
            await agent.want(server, gone, ended)
            await until(lambda: agent.ready() and agent.pids("gone"))
            await until(lambda: (s := agent.pods.status(("shop", "ended"))) and s[0].exit_code == 3)
            os.kill(os.getpid(), signal.SIGKILL)

        with_agent(lab, first)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL

    async def second(agent: Agent) -> None:
        assert agent.removed == [] and agent.ready()
        before = agent.pids()
        assert len(before) == 1
        never_unready = asyncio.create_task(until(lambda: not agent.ready(), 2))
        await agent.want(server, ended)  # `gone` was taken away while no agent ran
        await until(lambda: agent.pids("gone") == [])
        with pytest.raises(TimeoutError):
            await never_unready
        assert agent.pids() == before
        assert agent.pids("ended") == []
        assert agent.pods.status(("shop", "ended"))[0].exit_code == 3
        os.kill(before[0], signal.SIGKILL)  # it is watched as if it were our own child
        await until(lambda: agent.pids() not in ([], before))
        assert agent.pods.status(WEB)[0].restarts == 1

    with_agent(lab, second)


def test_agent_killed_at_any_moment_of_a_start_leaves_one_process(lab: NodePaths) -> None:
    wanted = pod("sleep", "61")
    for step in range(12):
        child = os.fork()
        if child == 0:

            async def first(agent: Agent, after_s: float = step * 0.004) -> None:
                asyncio.get_running_loop().call_later(after_s, os.kill, os.getpid(), 9)
                await agent.want(wanted)
                await asyncio.sleep(5)

            with_agent(lab, first)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL

        async def second(agent: Agent) -> None:
            await agent.want(wanted)
            await sleeping(agent, "sleep 61")
            await asyncio.sleep(0.1)
            assert len(agent.pids()) == 1
            await agent.want()
            await agent.pods.settled()

        with_agent(lab, second)
