"""Delta ADS over a real socket, with a client that answers as Envoy does."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from grpclib.client import Channel, StreamStreamMethod
from grpclib.exceptions import GRPCError

from tests.unit.edges.envoy.sample import cluster, ref
from tulle import xds
from tulle.edges.envoy.ads import METHOD, Ads
from tulle.edges.envoy.catalogue import TYPES
from tulle.edges.envoy.server import GrpcServer
from tulle.edges.envoy.subscriber import REQUEST, RESPONSE, Subscriber
from tulle.model.proxy import XdsImage

Work = Callable[[Ads, Path], Awaitable[None]]


def served(tmp_path: Path, work: Work) -> None:
    async def run() -> None:
        ads, path = Ads(), tmp_path / "ads.sock"
        server = GrpcServer(path, ads.handlers())
        await server.start()
        try:
            async with asyncio.timeout(10):
                await work(ads, path)
        finally:
            await server.close()

    asyncio.run(run())


@asynccontextmanager
async def envoy(
    path: Path, node: str, refuses: str = "", *, answers: bool = True
) -> AsyncIterator[list[str]]:
    """Asks for clusters and listeners, and accepts all but what is called `refuses`."""
    got: list[str] = []
    channel = Channel(path=str(path))
    request, response_type = xds.message(REQUEST), xds.message(RESPONSE)
    method = StreamStreamMethod[Any, Any](channel, METHOD, request, response_type)
    async with method.open() as stream:

        async def say(type_url: str, **fields: Any) -> None:
            await stream.send_message(xds.message(REQUEST)(type_url=type_url, **fields))

        async def answer() -> None:
            async for response in stream:
                names = [item.name for item in response.resources]
                got.extend(names)
                if not answers:
                    continue
                error = {"message": f"{refuses}: no"} if refuses in names else None
                await say(response.type_url, response_nonce=response.nonce, error_detail=error)

        for kind in ("cluster", "listener"):
            await say(xds.TYPE_URL + TYPES[kind], node={"id": node})
        answering = asyncio.create_task(answer())
        try:
            yield got
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            await stream.cancel()
    channel.close()


async def until(holds: Callable[[], bool]) -> None:
    """The server's timeout ends it if it never does."""
    while not holds():  # noqa: ASYNC110 (what it waits for tells nobody)
        await asyncio.sleep(0.01)


def image(*names: str, **fields: Any) -> XdsImage:
    return {"cluster": {name: cluster(name, type="STATIC", **fields) for name in names}}


def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    async def work(ads: Ads, path: Path) -> None:
        assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == 0o600

    served(tmp_path, work)


def test_it_is_settled_when_all_have_confirmed(tmp_path: Path) -> None:
    async def work(ads: Ads, path: Path) -> None:
        ads.update(image("web"))
        assert not await ads.settled(0.05), "with nobody there"
        async with envoy(path, "n/1") as one:
            assert await ads.settled(5)
            async with envoy(path, "n/2") as two:
                await until(lambda: ads.settled_nodes == {"n/1", "n/2"})
                assert await ads.settled(5)
                assert one == two == ["web"]
                ads.update(image("web", "db"))
                assert await ads.settled(5)
                assert one == two == ["web", "db"]
            await until(lambda: ads.settled_nodes == {"n/1"})

    served(tmp_path, work)


def test_only_those_that_one_names_are_waited_for(tmp_path: Path) -> None:
    async def work(ads: Ads, path: Path) -> None:
        ads.update(image("web"))
        async with envoy(path, "n/1"), envoy(path, "n/2", answers=False) as mute:
            await until(lambda: mute == ["web"])
            assert await ads.settled(5, {"n/1"})
            assert not await ads.settled(0.05)
            assert not await ads.settled(0.05, {"n/2"})
            assert not await ads.settled(0.05, {"n/3"}), "who is not there: all that are"
            assert ads.settled_nodes == {"n/1"} and not ads.is_settled

    served(tmp_path, work)


def test_a_refusal_names_the_object(tmp_path: Path) -> None:
    async def work(ads: Ads, path: Path) -> None:
        async with envoy(path, "n/1", refuses="bad"):
            ads.update(image("good", "bad"))
            assert await ads.settled(5)
            assert ads.refusals == {ref("bad"): "the proxy refuses it: bad: no"}
            assert ads.refused == {"cluster bad": "bad: no"}
            ads.update(image("good"))
            assert await ads.settled(5)
            assert not ads.refusals

    served(tmp_path, work)


def test_nobody_hears_of_an_image_that_is_not_there_yet(tmp_path: Path) -> None:
    async def work(ads: Ads, path: Path) -> None:
        async with envoy(path, "n/1") as got:
            await asyncio.sleep(0.1)
            assert got == [] and ads.settled_nodes == frozenset()
            ads.update(image("web"))
            assert await ads.settled(5)
            assert got == ["web"]

    served(tmp_path, work)


def test_a_stream_that_cannot_be_served_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left open, it would keep its Envoy as it is for ever, and nobody would hear of it."""

    def broken(self: Subscriber) -> Any:
        raise ValueError("a mistake of ours")

    async def work(ads: Ads, path: Path) -> None:
        ads.update(image("web"))
        with suppress(GRPCError):
            async with envoy(path, "n/1"):
                await until(lambda: ads.settled_nodes == {"n/1"})
                monkeypatch.setattr(Subscriber, "next", broken)
                ads.update(image("db"))
                await until(lambda: not ads._streams)

    served(tmp_path, work)


def test_a_reason_shows_no_configuration(tmp_path: Path) -> None:
    """A message that Envoy quotes may hold a key."""
    reason = 'goo.gle/debugstr \nkey: "SECRET"\n: Proto constraint validation failed (TooBad: no)'

    async def work(ads: Ads, path: Path) -> None:
        async with envoy(path, "n/1", refuses="bad") as _:
            ads.update(image("bad"))
            assert await ads.settled(5)
            refusal = ads._catalogue.refused["cluster"]["bad"]
            assert ads._catalogue.forgive("cluster")
            assert ads._catalogue.refuse("cluster", "bad", refusal.version, reason)
            assert ads.refused == {"cluster bad": "TooBad: no"}

    served(tmp_path, work)
