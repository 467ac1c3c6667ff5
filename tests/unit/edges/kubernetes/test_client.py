"""Requests, pages, streams and tokens, against a server in memory."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.edges.kubernetes.server import FakeServer
from tests.unit.edges.kubernetes.stories import config_map, play, until
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access
from tulle.edges.kubernetes.errors import ApiError, Conflict, Gone, Invalid, NotFound
from tulle.edges.kubernetes.wire import Unreadable, read_page
from tulle.errors import KernelError, Unavailable

MAPS = "/api/v1/configmaps"
ONE = "/api/v1/namespaces/n/configmaps/a"
GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/n/gateways/g"


def test_an_object_from_beginning_to_end() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        body = json.dumps(config_map("a", "1")).encode()
        created = json.loads(await client.create(MAPS.replace("v1/", "v1/namespaces/n/"), body))
        assert created["metadata"]["resourceVersion"] == str(server.version)
        with pytest.raises(Conflict):
            await client.create("/api/v1/namespaces/n/configmaps", body)
        assert json.loads(await client.get(ONE)) == created
        changed = json.loads(await client.merge_patch(ONE, b'{"data": {"value": "2"}}'))
        with pytest.raises(Conflict, match="modified"):
            await client.put(ONE, json.dumps(created).encode())
        await client.put(ONE, json.dumps(changed).encode())
        await client.delete(ONE)
        with pytest.raises(NotFound):
            await client.get(ONE)

    play(story)


def test_apply_to_the_status() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.put(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": "g", "namespace": "n"},
                "spec": {"gatewayClassName": "tulle"},
            }
        )
        status = b'{"spec": {"gatewayClassName": "x"}, "status": {"addresses": []}}'
        await client.apply(f"{GATEWAY}/status", status, "tulle", force=True)
        now = server.get("Gateway", "g", "n")
        assert (now["spec"], now["status"]) == ({"gatewayClassName": "tulle"}, {"addresses": []})
        told = server.requests[-1]
        assert told.headers["Content-Type"] == "application/apply-patch+yaml"
        assert (told.query["fieldManager"], told.query["force"]) == ("tulle", "true")
        server.fail(422, "Invalid", method="PATCH")
        with pytest.raises(Invalid):
            await client.apply(f"{GATEWAY}/status", status, "tulle", force=False)

    play(story)


def test_a_list_in_pages() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        for number in range(7):
            server.put(config_map(f"m{number}"))
        pages = [read_page(body) async for body in client.list_pages(MAPS, {}, limit=3)]
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert len({item.key for page in pages for item in page.items}) == 7
        whole = [read_page(body) async for body in client.list_pages(MAPS, {}, limit=0)]
        assert [len(page.items) for page in whole] == [7]

    play(story)


def test_a_list_that_took_too_long() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        for number in range(4):
            server.put(config_map(f"m{number}"))
        with pytest.raises(Gone):
            async for _ in client.list_pages(MAPS, {}, limit=2):
                server.put(config_map("more"))
                server.compact()

    play(story)


def test_selectors_are_told_as_they_are() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.put(config_map("a", app="web"))
        server.put(config_map("b"))
        query = {"labelSelector": "!app", "fieldSelector": "metadata.name!=c"}
        (page,) = [read_page(body) async for body in client.list_pages(MAPS, query)]
        assert [item.key for item in page.items] == [("n", "b")]
        assert server.requests[-1].query["labelSelector"] == "!app"

    play(story)


def test_a_watch_tells_lines_of_any_length() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.put(config_map("a"))
        query = {"resourceVersion": "100"}
        async with client.stream(MAPS, query) as lines:
            assert json.loads(await anext(lines))["type"] == "ADDED"
            server.put(config_map("a", "x" * 3_000_000))
            assert len(json.loads(await anext(lines))["object"]["data"]["value"]) == 3_000_000
            server.end()
            with pytest.raises(StopAsyncIteration):
                await anext(lines)
        async with client.stream(MAPS, query) as lines:
            await anext(lines)
            await anext(lines)
            server.cut()
            with pytest.raises(Unavailable):
                await anext(lines)
        await until(lambda: server.watching == 0)

    play(story)


def test_a_watch_that_is_refused() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.fail(429, "TooManyRequests", headers={"Retry-After": "7"}, watch=True)
        with pytest.raises(ApiError) as refusal:
            async with client.stream(MAPS, {}):
                raise AssertionError
        assert refusal.value.retry_after_s == 7

    play(story)


def test_what_the_user_of_a_stream_raises_is_its_own() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        with pytest.raises(TimeoutError):
            async with client.stream(MAPS, {}), asyncio.timeout(0.01):
                await asyncio.sleep(5)
        with pytest.raises(OSError, match="mine"):
            async with client.stream(MAPS, {}):
                raise OSError("mine")
        await until(lambda: server.watching == 0)

    play(story)


def test_nobody_there() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        await server.stop()
        with pytest.raises(Unavailable, match=r"API server http://127\.0\.0\.1"):
            await client.get("/version")
        with pytest.raises(Unavailable):
            async with client.stream(MAPS, {}):
                raise AssertionError
        await server.start()
        await client.get("/version")

    play(story)


def test_no_answer_in_time() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        hasty = Client(server.access, timeout_s=0.05)
        server.delay_s = 0.5
        with pytest.raises(Unavailable, match="no answer in time"):
            await hasty.get("/version")
        await hasty.close()

    play(story)


def test_a_token_is_read_again_when_it_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"

    async def story(server: FakeServer, _: Client) -> None:
        client = Client(replace(server.access, token_file=token))
        with pytest.raises(Unavailable, match="token"):
            await client.get("/version")
        for number in (1, 2):  # as kubelet does: another file under the name
            server.token = f"token-{number}"
            (tmp_path / "new").write_text(f"{server.token}\n")
            (tmp_path / "new").replace(token)
            await client.get("/version")
        server.token += "3"
        with pytest.raises(ApiError) as refusal:
            await client.get("/version")
        assert refusal.value.status == 401
        assert "token-2" not in str(refusal.value)
        await client.close()

    play(story)


def test_no_other_server_is_asked() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        elsewhere = {"Location": "/api/v1/secrets"}
        server.fail(302, path="/version", headers=elsewhere)
        with pytest.raises(ApiError) as refusal:
            await client.get("/version")
        assert refusal.value.status == 302
        assert len(server.requests) == 1

    play(story)


def test_sockets_are_made_by_somebody_else() -> None:
    async def story(server: FakeServer, _: Client) -> None:
        made: list[socket.socket] = []

        def make(family: int, kind: int, protocol: int) -> socket.socket:
            made.append(socket.socket(family, kind, protocol))
            return made[-1]

        client = Client(server.access, make_socket=make)
        await client.get("/version")
        assert len(made) == 1
        assert made[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await client.close()

        def fail(*_: int) -> socket.socket:
            raise KernelError(2, "enter network namespace")

        client = Client(server.access, make_socket=fail)
        with pytest.raises(Unavailable, match="enter network namespace"):
            await client.get("/version")
        await client.close()

    play(story)


def test_a_list_that_is_none() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.fail(200, path=MAPS)
        with pytest.raises(Unreadable):
            async for _ in client.list_pages(MAPS, {}):
                pass

    play(story)


def test_a_server_below_a_path() -> None:
    async def story(server: FakeServer, _: Client) -> None:
        client = Client(Access(f"{server.access.server}/api/v1/namespaces/n"))
        server.put(config_map("a"))
        assert await client.get("/configmaps/a")
        await client.close()

    play(story)
