"""Real Envoys: started, configured, killed, taken over, replaced; with clients all the while."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.unit.edges.envoy.sample import cluster, listener, ref, route
from tulle import xds
from tulle.agent.options import ProxyOptions
from tulle.agent.proxy import WAIT_S, Proxy
from tulle.edges import netns
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.edges.envoy import admin, process
from tulle.edges.envoy.access import Entry
from tulle.edges.envoy.launch import USER
from tulle.lab import node
from tulle.model.access import Access
from tulle.model.paths import NodePaths
from tulle.model.proxy import AGENT, Resource, XdsImage
from tulle.model.scopes import NODE

PORT = 8080
LOG = xds.any_of(
    "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
    common_config={
        "log_name": "test",
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": AGENT}},
        "buffer_flush_interval": {"nanos": 50_000_000},
    },
)
CAPABILITIES = 1 << 10 | 1 << 13  # CAP_NET_BIND_SERVICE, CAP_NET_RAW
DNS = listener(
    "dns",
    0,
    address={"socket_address": {"address": "127.0.0.1", "port_value": PORT, "protocol": "UDP"}},
    filter_chains=[],
    udp_listener_config={},
    listener_filters=[
        {
            "name": "udp",
            "typed_config": xds.any_of(
                "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
                stat_prefix="udp",
                matcher={
                    "on_no_match": {
                        "action": {
                            "name": "to",
                            "typed_config": xds.any_of(
                                "envoy.extensions.filters.udp.udp_proxy.v3.Route", cluster="dns"
                            ),
                        }
                    }
                },
            ),
        }
    ],
)
Work = Callable[[Proxy], Awaitable[None]]


@pytest.fixture
def paths() -> Iterator[NodePaths]:
    name = f"envoys-{os.getpid()}"
    node.destroy(name)
    try:
        yield node.create(name)
    finally:
        node.destroy(name)
    assert name not in node.nodes()


def fixed(name: str, port: int) -> Resource:
    """A cluster of one process on 127.0.0.1."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    members = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    assignment = {"cluster_name": name, "endpoints": members}
    return cluster(name, type="STATIC", eds_cluster_config=None, load_assignment=assignment)


def image(says: str) -> XdsImage:
    return {
        "cluster": {"web": cluster("web")},
        "listener": {"web": listener("web", PORT)},
        "route": {"web": route("web", says)},
    }


@asynccontextmanager
async def agent(
    paths: NodePaths,
    workers: int = 1,
    told: list[Access] | None = None,
    *,
    standby: bool = True,
) -> AsyncIterator[Proxy]:
    """What an agent has of the proxy, until it dies; access logs go to `told`."""

    async def take(entries: Iterable[Entry]) -> None:
        if told is not None:
            told.extend(entry.access() for entry in entries)

    cgroups, options = NodeCgroup(find_mount(), paths.cgroup), ProxyOptions(workers, standby)
    proxy = Proxy(paths, NODE, cgroups, options, take)
    await proxy.start()
    running = asyncio.create_task(proxy.run())
    try:
        yield proxy
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def put(proxy: Proxy, image: XdsImage) -> None:
    await proxy.add(image)
    proxy.remove(image)


def states(proxy: Proxy) -> list[str]:
    return [item.state for item in proxy.envoys.status()]


def pids(proxy: Proxy) -> list[int]:
    return [item.pid for item in proxy.envoys.status()]


async def until(holds: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        await asyncio.sleep(0.01)


async def both_up(proxy: Proxy) -> None:
    await until(lambda: states(proxy) == ["serving", "standing by"], "two Envoys")


def ask(paths: NodePaths) -> str:
    """The answer to a request on a connection of its own, from within the node."""

    def request() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    return netns.run_in(paths.netns, request)


class Clients:
    """Connection after connection, until told to stop; what was answered and what failed."""

    def __init__(self, paths: NodePaths, count: int = 3) -> None:
        self.answered: list[float] = []
        self.failed: list[str] = []
        self._paths, self._stop = paths, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    async def __aenter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        await until(lambda: len(self.answered) > 50, "first answers")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        def work() -> None:
            while not self._stop.is_set():
                self._once()

        netns.run_in(self._paths.netns, work)

    def _once(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
        try:
            connection.request("GET", "/")
            assert connection.getresponse().read()
        except OSError as error:
            self.failed.append(repr(error))
        except http.client.HTTPException as error:
            self.failed.append(repr(error))
        else:
            self.answered.append(time.monotonic())
        finally:
            connection.close()


def run(paths: NodePaths, work: Work, workers: int = 1) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), agent(paths, workers) as proxy:
            try:
                await work(proxy)
            finally:
                await proxy.stop()  # one that is just starting would be in the way of the end

    asyncio.run(main())


def test_two_come_up_with_few_powers(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        assert states(proxy) == [], "none as long as none is needed"
        await put(proxy, image("hello"))
        assert await asyncio.to_thread(ask, paths) == "hello", "the first pass has waited"
        await both_up(proxy)
        for pid in pids(proxy):
            status, namespace = await asyncio.to_thread(seen, pid)
            powers = {status[name] for name in ("CapPrm", "CapEff", "CapBnd")}
            assert {int(text, 16) for text in powers} == {CAPABILITIES}
            assert (status["NoNewPrivs"], set(status["Uid"].split())) == ("1", {str(USER)})
            assert (set(status["Gid"].split()), status["Groups"].split()) == ({str(USER)}, [])
            assert paths.netns and namespace == paths.netns.stat().st_ino
        places = {
            path.name: path.stat() for path in (paths.proxy(NODE), *paths.proxy(NODE).iterdir())
        }
        assert {name for name, of in places.items() if of.st_uid == USER} >= {"ads.sock", "run"}
        assert {stat.S_IMODE(of.st_mode) for of in places.values()} == {0o711, 0o700, 0o600}
        assert not [name for name in ("node", "envoys.json", "1.log") if places[name].st_uid]
        inside = NodeCgroup(find_mount(), paths.cgroup).pids(proxy.envoys.cgroup)
        assert sorted(inside) == sorted(pids(proxy))

    run(paths, work)


def seen(pid: int) -> tuple[dict[str, str], int]:
    """What the kernel says of a process, and its network namespace."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return status, Path(f"/proc/{pid}/ns/net").stat().st_ino


@pytest.mark.parametrize("workers", [1, 2])
def test_the_elder_serves_alone(paths: NodePaths, workers: int) -> None:
    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await both_up(proxy)
        before = await asyncio.to_thread(open_connections, paths, 40)
        elder, younger = (item.number for item in proxy.envoys.status())
        for number, count in ((elder, 40), (younger, 0)):
            assert await admin.connections(proxy.envoys.admin_socket(number)) == count
        for connection in before:
            connection.close()

    run(paths, work, workers)


def open_connections(paths: NodePaths, count: int) -> list[http.client.HTTPConnection]:
    def work() -> list[http.client.HTTPConnection]:
        found = []
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().read()
            found.append(connection)
        return found

    return netns.run_in(paths.netns, work)


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_is_hardly_noticed(paths: NodePaths, workers: int) -> None:
    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await both_up(proxy)
        elder, younger = pids(proxy)
        async with Clients(paths) as clients:
            os.kill(elder, signal.SIGKILL)
            await until(lambda: pids(proxy)[:1] == [younger], "the younger one serves")
            await both_up(proxy)
        # at most what the clients had under way; a connection is refused in no case
        assert len(clients.failed) <= 3
        assert not [item for item in clients.failed if "Refused" in item]
        assert proxy.envoys.restarts == 1
        await until(lambda: not proxy.problems, "all is well")

    run(paths, work, workers)


def test_datagrams_go_on_after_kill_9(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        with netns.run_in(paths.netns, partial(udp_echo, 5300)) as echo:
            await put(proxy, {"cluster": {"dns": fixed("dns", 5300)}, "listener": {"dns": DNS}})
            await both_up(proxy)
            elder, younger = pids(proxy)
            assert await asyncio.to_thread(datagrams, paths, echo) == 20
            os.kill(elder, signal.SIGKILL)
            await until(lambda: pids(proxy)[:1] == [younger], "the younger one serves")
            assert await asyncio.to_thread(datagrams, paths, echo) == 20

    run(paths, work, workers=2)


def udp_echo(port: int) -> socket.socket:
    """A socket of the node, for `datagrams` to answer on."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", port))
    found.settimeout(2)
    return found


def datagrams(paths: NodePaths, echo: socket.socket) -> int:
    """How many of 20 clients, each with a port of its own, get their answer through the proxy."""

    def work() -> int:
        answered = 0
        for number in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(2)
                client.sendto(f"{number}".encode(), ("127.0.0.1", PORT))
                question, asker = echo.recvfrom(100)
                echo.sendto(question, asker)
                answered += client.recv(100) == f"{number}".encode()
        return answered

    return netns.run_in(paths.netns, work)


def test_both_killed_come_back(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await both_up(proxy)
        before = pids(proxy)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not set(before) & set(pids(proxy)), "their ends are seen")
        await both_up(proxy)
        assert await asyncio.to_thread(ask, paths) == "hello"

    run(paths, work)


def test_they_outlive_the_agent(paths: NodePaths) -> None:
    async def main() -> None:
        async with agent(paths) as proxy:
            await put(proxy, image("hello"))
            await both_up(proxy)
            before = pids(proxy)
        assert await asyncio.to_thread(ask, paths) == "hello", "without an agent"
        number = proxy.envoys.status()[0].number
        updates = await updated(proxy, number)
        async with agent(paths) as proxy:
            assert await asyncio.to_thread(ask, paths) == "hello", "before it has said anything"
            await put(proxy, image("hello"))
            await both_up(proxy)
            assert pids(proxy) == before
            assert await updated(proxy, number) == updates, "was sent what it had already"
            await put(proxy, image("goodbye"))
            assert await asyncio.to_thread(ask, paths) == "goodbye"

    asyncio.run(main())


def test_one_alone(paths: NodePaths) -> None:
    """As an agent is told to have no other, and the next one is told to have one."""

    async def main() -> None:
        async with agent(paths) as proxy:
            await put(proxy, image("hello"))
            await both_up(proxy)
            elder = pids(proxy)[0]
        async with agent(paths, standby=False) as proxy:
            await put(proxy, image("hello"))
            await until(lambda: pids(proxy) == [elder], "the younger is ended")
            os.kill(elder, signal.SIGKILL)
            await until(lambda: elder not in pids(proxy), "its end is seen")
            await until(lambda: states(proxy) == ["serving"], "another one")
            assert await asyncio.to_thread(ask, paths) == "hello"
        async with agent(paths) as proxy:
            await put(proxy, image("hello"))
            await both_up(proxy)
            await proxy.stop()

    asyncio.run(main())


async def updated(proxy: Proxy, number: int) -> str:
    return await admin.ask(
        proxy.envoys.admin_socket(number),
        "/stats?filter=^(cluster|listener)_manager.(cds|lds).update_success$",
    )


def test_others_options_bring_others_up_and_lose_no_connection(paths: NodePaths) -> None:
    async def main() -> None:
        async with agent(paths) as proxy:
            await put(proxy, image("hello"))
            await both_up(proxy)
            before = pids(proxy)
        async with Clients(paths) as clients, agent(paths, workers=2) as proxy:
            await put(proxy, image("hello"))
            await until(lambda: not set(pids(proxy)) & set(before), "new ones alone")
            await both_up(proxy)
        assert clients.failed == []

    asyncio.run(main())


def test_a_refused_resource_is_told_and_the_others_hold(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        ring = {"minimum_ring_size": {"value": 100_000_000}}
        bad = cluster("bad", lb_policy="RING_HASH", ring_hash_lb_config=ring)
        good = image("hello")
        await put(proxy, {**good, "cluster": {**good["cluster"], "bad": bad}})
        assert await asyncio.to_thread(ask, paths) == "hello"
        assert [item.ref for item in proxy.refusals] == [ref("bad")]
        assert "MinimumRingSize" in proxy.refusals[0].reason
        found = await admin.ask(proxy.envoys.admin_socket(1), "/clusters")
        assert "web::" in found and "bad::" not in found

    run(paths, work)


def test_requests_are_told(paths: NodePaths) -> None:
    async def main() -> None:
        told: list[Access] = []
        async with agent(paths, told=told) as proxy:
            await put(proxy, {**image("hello"), "listener": {"web": listener("web", PORT, LOG)}})
            await both_up(proxy)
            assert await asyncio.to_thread(ask, paths) == "hello"
            await until(lambda: told, "the entry")
        (access,) = told
        assert access.request and (access.request.method, access.request.path) == ("GET", "/")
        assert (access.status, access.bytes_out) == (200, 5)
        assert str(access.asked.address) == "127.0.0.1" and access.asked.port == PORT
        assert access.source.port and abs(access.time_ns - time.time_ns()) < 60e9

    asyncio.run(main())


def test_they_end_when_nothing_is_left_to_do(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await both_up(proxy)
        await put(proxy, {"listener": {}})
        await until(lambda: states(proxy) == [], "all have ended")
        assert NodeCgroup(find_mount(), paths.cgroup).children(proxy.envoys.cgroup) == []
        assert sorted(path.name for path in paths.proxy(NODE).iterdir()) == [
            "ads.sock",
            "envoys.json",
            "last.log",
            "run",
        ]
        assert list((paths.proxy(NODE) / "run").iterdir()) == []

    run(paths, work)


def test_one_that_cannot_start_holds_nothing_up(
    paths: NodePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "binary", lambda: (Path("/bin/false"), "1"))

    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await until(lambda: proxy.problems, "the problem is told")
        assert proxy.problems == ["proxy: an Envoy ended: it said nothing"]
        began_s = time.monotonic()
        await put(proxy, image("goodbye"))
        assert time.monotonic() - began_s < WAIT_S

    run(paths, work)


def test_one_that_does_not_answer_holds_things_up_once(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await both_up(proxy)
        for pid in pids(proxy):
            os.kill(pid, signal.SIGSTOP)
        await put(proxy, image("goodbye"))
        assert proxy.problems == ["proxy: it has not confirmed its configuration"]
        began_s = time.monotonic()
        await put(proxy, image("hello again"))
        assert time.monotonic() - began_s < WAIT_S
        for pid in pids(proxy):
            os.kill(pid, signal.SIGCONT)
        await until(lambda: not proxy.problems, "it has")
        assert await asyncio.to_thread(ask, paths) == "hello again"

    run(paths, work)


def test_one_without_a_record_is_ended(paths: NodePaths) -> None:
    """As an agent leaves it that was killed between the two."""

    async def main() -> None:
        async with agent(paths) as proxy:
            await put(proxy, image("hello"))
            await both_up(proxy)
            lost = pids(proxy)
        (paths.proxy(NODE) / "envoys.json").write_text("[]")
        async with agent(paths) as proxy:
            await put(proxy, image("hello"))
            await both_up(proxy)
            assert not set(lost) & set(pids(proxy))

    asyncio.run(main())


def test_the_node_is_taken_down(paths: NodePaths) -> None:
    async def work(proxy: Proxy) -> None:
        await put(proxy, image("hello"))
        await both_up(proxy)
        found = pids(proxy)
        await proxy.stop()
        assert states(proxy) == []
        assert not [pid for pid in found if process.process_of(pid).started]

    run(paths, work)
