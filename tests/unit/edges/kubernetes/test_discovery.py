"""What a server has, and in which version we take it."""

from __future__ import annotations

import pytest

from tests.unit.edges.kubernetes.server import FakeServer
from tests.unit.edges.kubernetes.stories import play
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Resource, discover
from tulle.errors import Unavailable

SLICES = ["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"]


def test_the_first_of_our_versions_that_is_served() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        found = await discover(client)
        assert (found.server, found.minor) == ("v1.20.0", 20)
        chosen = found.choose("EndpointSlice", SLICES)
        assert chosen and chosen.version == "v1"
        server.served.append(
            Resource("discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice", True)
        )
        chosen = (await discover(client)).choose("EndpointSlice", SLICES)
        assert chosen and chosen.version == "v1"
        server.served = [each for each in server.served if each.kind != "EndpointSlice"]
        assert (await discover(client)).choose("EndpointSlice", SLICES) is None

    play(story)


def test_what_a_kind_can_do() -> None:
    async def story(_: FakeServer, client: Client) -> None:
        found = await discover(client)
        gateway = found.resources["gateway.networking.k8s.io/v1", "Gateway"]
        assert gateway.has_status and gateway.namespaced
        assert "watch" in gateway.verbs
        assert not found.resources["v1", "Secret"].has_status
        assert not found.resources["gateway.networking.k8s.io/v1", "GatewayClass"].namespaced

    play(story)


def test_only_groups_that_are_asked_for() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        found = await discover(client, {"", "discovery.k8s.io"})
        assert {group for group, _ in found.resources} == {"v1", "discovery.k8s.io/v1"}
        assert "/apis/networking.k8s.io/v1" not in {each.path for each in server.requests}

    play(story)


def test_a_group_that_does_not_answer_is_not_absent() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.fail(503, path="/apis/networking.k8s.io")
        with pytest.raises(Unavailable):
            await discover(client)
        server.fail(404, path="/apis/networking.k8s.io")
        with pytest.raises(Unavailable, match="listed as served"):
            await discover(client)
        assert ("networking.k8s.io/v1", "NetworkPolicy") in (await discover(client)).resources

    play(story)


def test_a_server_that_is_starting_is_not_believed() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.fail(500, path="/readyz")
        with pytest.raises(Unavailable):
            await discover(client)
        for code in (403, 404):  # who may not ask, and servers that cannot say
            server.fail(code, path="/readyz")
            assert (await discover(client)).resources

    play(story)


def test_what_is_no_api_server() -> None:
    async def story(server: FakeServer, client: Client) -> None:
        server.fail(200, path="/apis")
        with pytest.raises(Unavailable, match="cannot be read"):
            await discover(client)

    play(story)


def test_paths() -> None:
    slices = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True)
    assert slices.path() == "/apis/discovery.k8s.io/v1/endpointslices"
    assert slices.path("n", "a/b").endswith("/namespaces/n/endpointslices/a%2Fb")
    node = Resource("", "v1", "nodes", "Node", False)
    assert node.path("ignored", "a", "status") == "/api/v1/nodes/a/status"
