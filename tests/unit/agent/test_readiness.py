"""Thresholds of a probe, its port and its host."""

import asyncio
import contextlib
import socket
from ipaddress import ip_address

from tulle.agent.readiness import Readiness, probe_port, watch
from tulle.model.kubernetes import Container, ContainerPort, Probe, TCPSocketAction


def test_state_changes_after_as_many_results_as_its_threshold() -> None:
    state = Readiness(Probe(success_threshold=2, failure_threshold=3))
    results = [True, False, True, True, False, False, True, False, False, False, True]
    seen = [state.saw(result) for result in results]
    assert seen == [False] * 3 + [True] * 6 + [False] * 2


def test_what_was_ready_stays_so_until_it_fails() -> None:
    state = Readiness(Probe(failure_threshold=2), ready=True)
    assert [state.saw(False), state.saw(False)] == [True, False]


def test_port_may_be_named() -> None:
    container = Container("web", ports=(ContainerPort(8080, name="http"),))
    assert probe_port(container, TCPSocketAction("http")) == 8080
    assert probe_port(container, TCPSocketAction(81)) == 81


def test_watch_reports_what_connects() -> None:
    seen: list[bool] = []

    async def story(port: int, listener: socket.socket) -> None:
        def report(ready: bool) -> None:
            seen.append(ready)
            listener.close()

        probe = Probe(period_seconds=0, failure_threshold=1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await watch(probe, (ip_address("127.0.0.1"), port), None, False, report)

    listener = socket.create_server(("127.0.0.1", 0))
    asyncio.run(story(listener.getsockname()[1], listener))
    assert seen[0] is True and seen[-1] is False
