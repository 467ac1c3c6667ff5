"""Proxies of several scopes, with real Envoys: one's trouble is not another's; fronts move."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from tests.datapath.test_envoys import PORT, Clients, ask, image, paths, until
from tests.unit.edges.envoy.sample import cluster, listener, route
from tulle.agent import proxy_scopes
from tulle.agent.options import ProxyOptions
from tulle.agent.proxy import UNLIMITED
from tulle.agent.proxy_scopes import ProxyScopes
from tulle.compile.proxy import Scoped
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.edges.envoy import process
from tulle.model.access import Access
from tulle.model.paths import NodePaths
from tulle.model.scopes import NODE

__all__ = ["paths"]  # the fixture
SHOP = "namespace/shop"
EMPTY = Scoped({"cluster": {}, "listener": {}, "route": {}})


def own(memory_bytes: int = 0, says: str = "hello") -> Scoped:
    return Scoped(image(says), memory_bytes)


@asynccontextmanager
async def agent(paths: NodePaths) -> AsyncIterator[ProxyScopes]:
    async def take(entries: Iterable[Access]) -> None:
        """Nobody reads them."""

    async with asyncio.timeout(90):
        scopes = ProxyScopes(
            paths, NodeCgroup(find_mount(), paths.cgroup), ProxyOptions(1), take, lambda: False
        )
        await scopes.start()
        running = asyncio.create_task(scopes.run())
        try:
            yield scopes
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def put(scopes: ProxyScopes, **images: Scoped) -> None:
    """`node` and `shop`."""
    found = {{"node": NODE, "shop": SHOP}[name]: item for name, item in images.items()}
    await asyncio.to_thread(scopes.add, found)
    await asyncio.to_thread(scopes.remove, found)


def serving(scopes: ProxyScopes) -> dict[str, list[int]]:
    """Pids of those that are not on their way out, by scope."""
    found: dict[str, list[int]] = {}
    for item in scopes.status()["envoys"]:
        if item["state"] in ("serving", "standing by"):
            found.setdefault(item["scope"], []).append(item["pid"])
    return found


async def pairs(scopes: ProxyScopes, *wanted: str) -> dict[str, list[int]]:
    def are_up() -> bool:
        found = {scope: len(pids) for scope, pids in serving(scopes).items()}
        listed = {item["scope"] for item in scopes.status()["envoys"]}
        return found == dict.fromkeys(wanted, 2) and listed == set(wanted)

    await until(are_up, f"two Envoys of {wanted} and no others", 45.0)
    return serving(scopes)


def test_each_scope_has_envoys_of_its_own(paths: NodePaths) -> None:
    async def main() -> None:
        async with agent(paths) as scopes:
            await put(scopes, node=EMPTY)
            assert scopes.status()["envoys"] == [], "nobody needs one"
            await put(scopes, node=EMPTY, shop=own(128 << 20))
            assert await asyncio.to_thread(ask, paths) == "hello"
            found = await pairs(scopes, SHOP)
            status = scopes.status()["scopes"][SHOP]
            cgroups = NodeCgroup(find_mount(), paths.cgroup)
            place = cgroups.root / "proxy" / "namespace_shop"
            assert status["cgroup"] == str(place)
            assert sorted(cgroups.pids(place)) == sorted(found[SHOP])
            if (place / "memory.max").exists():
                assert (place / "memory.max").read_text() == f"{128 << 20}\n"
                assert status["memory_limit_bytes"] == 128 << 20
            else:
                assert scopes.problems == [f"proxy of {SHOP}: {UNLIMITED}"]
                assert status["memory_limit_bytes"] is None

    asyncio.run(main())


def test_no_namespace_has_more_than_its_share(
    paths: NodePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its Services ask for it: each scope is two processes."""
    monkeypatch.setattr(proxy_scopes, "MOST", 1)
    one, two = "service/shop/one", "service/shop/two"

    async def force(scopes: ProxyScopes, images: dict[str, Scoped]) -> None:
        await asyncio.to_thread(scopes.add, images)
        await asyncio.to_thread(scopes.remove, images)

    async def main() -> None:
        async with agent(paths) as scopes:
            await force(scopes, {NODE: EMPTY, one: own(), two: EMPTY})
            await pairs(scopes, one)
            await force(scopes, {NODE: EMPTY, one: own(), two: own()})
            assert f"proxy of {two}: namespace shop has 1 already" in "; ".join(scopes.problems)
            await pairs(scopes, one)
            await force(scopes, {NODE: EMPTY, two: EMPTY})
            await until(lambda: not scopes.status()["scopes"], "the first has gone", 45.0)
            await force(scopes, {NODE: EMPTY, two: own()})
            await pairs(scopes, two)

    asyncio.run(main())


@pytest.mark.parametrize("back", [False, True])
def test_a_front_moves_without_a_refused_connection(paths: NodePaths, back: bool) -> None:
    """From the node's to one of its own, or back."""
    here, there = (SHOP, NODE) if back else (NODE, SHOP)

    async def main() -> None:
        async with agent(paths) as scopes:
            await put(scopes, **{"shop" if back else "node": own()})
            await pairs(scopes, here)
            async with Clients(paths) as clients:
                await put(scopes, **({"node": own()} if back else {"node": EMPTY, "shop": own()}))
                await pairs(scopes, there)
                before = len(clients.answered)
                await until(lambda: len(clients.answered) > before + 100, "answers of the other")
            assert clients.failed == []
            await until(lambda: set(scopes.status()["scopes"]) == {there}, "the old one has gone")
            assert not paths.proxy(here).exists()
            assert [path.name for path in paths.proxies.iterdir()] == [paths.proxy(there).name]

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_scopes_trouble_is_not_anothers(paths: NodePaths, number: signal.Signals) -> None:
    noisy = {"listener": {"n": listener("n", PORT + 1)}, "route": {"n": route("n", "noise")}}
    other = Scoped({"cluster": {"n": cluster("n")}, **noisy})

    async def main() -> None:
        async with agent(paths) as scopes:
            await put(scopes, node=own(), shop=other)
            found = await pairs(scopes, NODE, SHOP)
            async with Clients(paths) as clients:
                for pid in found[SHOP]:
                    os.kill(pid, number)
                before = len(clients.answered)
                await put(scopes, node=own(says="more"), shop=other)
                await until(lambda: len(clients.answered) > before + 300, "answers")
            assert clients.failed == []
            assert await asyncio.to_thread(ask, paths) == "more"
            for pid in found[SHOP]:
                process.process_of(pid).signal(signal.SIGCONT)
            assert serving(scopes)[NODE] == found[NODE]

    asyncio.run(main())


def test_a_scope_is_taken_over_or_given_up_by_the_next_agent(paths: NodePaths) -> None:
    async def main() -> None:
        async with agent(paths) as scopes:
            await put(scopes, node=EMPTY, shop=own())
            before = await pairs(scopes, SHOP)
        async with agent(paths) as scopes:
            await put(scopes, node=EMPTY, shop=own())
            assert await pairs(scopes, SHOP) == before
        async with agent(paths) as scopes:
            await put(scopes, node=EMPTY)
            await until(lambda: scopes.status()["scopes"] == {}, "they have ended")
        assert not [pid for pid in before[SHOP] if process.process_of(pid).started]
        assert list(paths.proxies.iterdir()) == []

    asyncio.run(main())


def test_a_scope_that_changes_while_no_agent_runs_is_not_missed(paths: NodePaths) -> None:
    async def main() -> None:
        async with agent(paths) as scopes:
            await put(scopes, node=EMPTY, shop=own())
            await pairs(scopes, SHOP)
        async with Clients(paths) as clients, agent(paths) as scopes:
            await put(scopes, node=own())
            await pairs(scopes, NODE)
            before = len(clients.answered)
            await until(lambda: len(clients.answered) > before + 100, "answers of the other")
        assert clients.failed == []

    asyncio.run(main())


def test_what_a_scope_refuses_is_its_own(paths: NodePaths) -> None:
    async def main() -> None:
        async with agent(paths) as scopes:
            ring = {"minimum_ring_size": {"value": 100_000_000}}
            bad = cluster("bad", lb_policy="RING_HASH", ring_hash_lb_config=ring)
            whole = image("hello")
            refused = Scoped({**whole, "cluster": {**whole["cluster"], "bad": bad}})
            await put(scopes, node=EMPTY, shop=refused)
            (item,) = scopes.refusals
            assert "MinimumRingSize" in item.reason
            assert list(scopes.status()["scopes"][SHOP]["refused"]) == ["cluster bad"]

    asyncio.run(main())
