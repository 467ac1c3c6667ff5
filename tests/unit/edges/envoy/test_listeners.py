"""Who takes connections gets the program that chooses among Envoys, when the kernel takes it."""

from __future__ import annotations

from typing import Any

from tests.unit.edges.envoy.sample import listener
from tulle import xds
from tulle.edges.envoy.launch import PROGRAM_FD
from tulle.edges.envoy.listeners import LISTENER, shared


def options(body: bytes) -> list[tuple[int, int, int, str]]:
    read: Any = xds.message(LISTENER).FromString(shared(body))
    states = {0: "PREBIND", 1: "BOUND", 2: "LISTENING"}
    return [
        (item.level, item.name, item.int_value, states[item.state]) for item in read.socket_options
    ]


def test_tcp_after_it_listens() -> None:
    assert options(listener("web", 80).body) == [(1, 52, PROGRAM_FD, "LISTENING")]


def test_udp_after_it_is_bound() -> None:
    address = {"socket_address": {"address": "::1", "port_value": 53, "protocol": "UDP"}}
    assert options(listener("dns", 53, address=address).body) == [(1, 52, PROGRAM_FD, "BOUND")]


def test_its_own_options_stay() -> None:
    mark = {"level": 1, "name": 36, "int_value": 7}
    assert options(listener("web", 80, socket_options=[mark]).body)[0] == (1, 36, 7, "PREBIND")


def test_an_internal_one_has_no_socket() -> None:
    body = xds.pack(LISTENER, name="inside", internal_listener={})
    assert shared(body) == body


def test_what_cannot_be_read_stays() -> None:
    assert shared(b"\xff") == b"\xff"
