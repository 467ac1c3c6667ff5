"""A node's uplink, and that no route keeps the rest from working. With a kernel: test_cluster."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from tulle.agent import network as module
from tulle.agent.network import Network
from tulle.agent.options import NodeOptions
from tulle.edges.netlink import Route, Uplink
from tulle.errors import KernelError, Refused
from tulle.model.world import Node

ADDRESS = ip_address("192.0.2.1")
LED = frozenset({ip_address("10.244.0.254")})
B = Node("b", (ip_address("192.0.2.2"),), pod_cidrs=(ip_network("10.244.2.0/24"),))


class Kernel:
    """Stands in for `edges.netns` and `edges.netlink`."""

    MTU = 1500

    def __init__(self) -> None:
        self.default = "eth7"
        self.devices = {"eth7": 7, "eth8": 8}
        self.own: dict[int, tuple[Any, ...]] = {7: (ADDRESS,)}
        self.routes: set[Route] = set()
        self.fails = ""
        self.has_ipv6 = True
        self.calls: list[str] = []
        self.at_read: Callable[[], object] = lambda: None

    def run_in(self, path: Path | None, work: Callable[[], Any]) -> Any:
        return work()

    def own_addresses(self) -> dict[int, tuple[Any, ...]]:
        return dict(self.own)

    def add_own_address(self, ifindex: int, address: Any) -> None:
        if address.version == 6 and not self.has_ipv6:
            raise KernelError(errno.EACCES, "the node's own address")
        self.own[ifindex] = (*self.own.get(ifindex, ()), address)

    def default_device(self) -> str:
        return self.default

    def uplink(self, name: str, addresses: dict[int, Any]) -> Uplink:
        if name not in self.devices:
            raise Refused(f"uplink {name!r}: there is no such interface")
        index = self.devices[name]
        return Uplink(name, index, 1500, addresses.get(index, ()))

    def forward_from(self, uplink: Uplink) -> None:
        pass

    def overlay_mtu(self, mtu: int, outer: int) -> int:
        return mtu - 50

    def make_overlay(self, mtu: int) -> int:
        return 9

    def unsteer(self) -> None:
        self.call("unsteer", None)

    def steer(self, sources: dict[Any, Any]) -> None:
        self.call("steer", sources)

    def read_routes(self) -> set[Route]:
        self.at_read()
        return self.call("read", set(self.routes))

    def put_routes(self, routes: Iterable[Route]) -> None:
        self.routes |= self.call("put", set(routes))

    def delete_routes(self, routes: Iterable[Route]) -> None:
        self.routes -= self.call("delete", set(routes))

    def call(self, name: str, value: Any) -> Any:
        if name == "read" or value != set():
            self.calls.append(name)
        if name == self.fails:
            raise KernelError(16, f"{name} routes")
        return value


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    fake = Kernel()
    monkeypatch.setattr(module, "netns", fake)
    monkeypatch.setattr(module, "netlink", fake)
    return fake


def test_the_uplink_is_the_default_routes_device(kernel: Kernel) -> None:
    network = Network(None, NodeOptions())
    network.refresh()
    assert network.interfaces == {7: "host", 9: "overlay"}
    assert network.published().underlay == ADDRESS
    kernel.default = "eth8"
    network.refresh()
    assert network.interfaces == {8: "host", 9: "overlay"}


def test_a_node_has_the_addresses_that_others_know_it_by(kernel: Kernel) -> None:
    kernel.own[1] = (ip_address("10.244.0.1"),)  # as in a lab
    kernel.has_ipv6 = False
    network = Network(None, NodeOptions())
    network.refresh()
    assert kernel.own == {1: (ip_address("10.244.0.1"),), 7: (ADDRESS,)}
    assert not network.problems and network.uplink
    kernel.has_ipv6 = True
    network.refresh()
    assert kernel.own[9] == (ip_address("fd00:7a11:0:244::1"),)
    assert set(network.published().addresses) == set(network.node().addresses)


def test_without_a_default_route_for_a_while_the_uplink_stays(kernel: Kernel) -> None:
    network = Network(None, NodeOptions())
    network.refresh()
    kernel.default = ""
    network.refresh()
    assert network.interfaces == {7: "host", 9: "overlay"} and not network.problems


def test_an_uplink_that_is_not_there_is_told(kernel: Kernel) -> None:
    network = Network(None, NodeOptions(uplink="eth1"))
    network.refresh()
    assert network.problems == ["uplink 'eth1': there is no such interface"]
    assert network.interfaces == {}


@pytest.mark.parametrize("step", ["read", "put", "delete"])
def test_routes_that_cannot_be_made_are_told_and_tried_again(kernel: Kernel, step: str) -> None:
    network, here = Network(None, NodeOptions()), Node("a")
    network.refresh()
    kernel.routes, kernel.fails = {Route(ip_network("10.244.9.0/24"), 7)}, step
    nodes = {"b": B}
    network.connect(here, nodes)
    assert network.problems == [f"{step} routes: Device or resource busy"]
    kernel.fails = ""
    network.connect(here, nodes)
    assert not network.problems
    assert kernel.routes == {Route(ip_network("10.244.2.0/24"), 7, ip_address("192.0.2.2"))}


def connected(kernel: Kernel) -> tuple[Network, Node, dict[str, Node]]:
    network, here, nodes = Network(None, NodeOptions()), Node("a"), {"b": B}
    network.refresh()
    network.connect(here, nodes)
    network.steer(LED)
    kernel.calls.clear()
    return network, here, nodes


def test_a_pass_looks_at_no_route_that_nothing_has_changed(kernel: Kernel) -> None:
    network, here, nodes = connected(kernel)
    network.refresh()
    network.connect(here, nodes)
    network.steer(LED)
    assert kernel.calls == []
    kernel.default = "eth8"
    network.refresh()
    network.connect(here, nodes)
    network.steer(LED)
    assert {"read", "steer"} <= set(kernel.calls)


def test_what_others_took_away_is_put_back_while_passes_go_on(kernel: Kernel) -> None:
    network, here, nodes = connected(kernel)
    wanted, kernel.routes = kernel.routes, set()

    def a_pass() -> None:  # or it would wait for the look
        network.connect(here, nodes)
        network.steer(LED)

    kernel.at_read = a_pass
    network.mend()
    assert kernel.routes == wanted != set()
    assert kernel.calls == ["read", "put", "steer"]


def test_what_led_to_the_proxy_is_taken_out_once_and_not_at_once(kernel: Kernel) -> None:
    network, _, _ = connected(kernel)
    network.steer(None)
    assert kernel.calls == []
    network.mend()
    network.mend()
    network.steer(None)
    assert kernel.calls == ["read", "unsteer", "read"]
    network.steer(LED)
    assert kernel.calls[-1] == "steer"


def test_what_cannot_be_mended_the_next_pass_tries(kernel: Kernel) -> None:
    network, here, nodes = connected(kernel)
    kernel.fails = "steer"
    network.mend()
    with pytest.raises(KernelError):
        network.steer(LED)
    kernel.fails, kernel.routes = "read", set()
    network.mend()
    assert network.problems == ["read routes: Device or resource busy"]
    kernel.fails = ""
    network.connect(here, nodes)
    network.steer(LED)
    assert kernel.routes and not network.problems
