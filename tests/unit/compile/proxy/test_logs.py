"""Every chain tells the agent, with what names the front and the rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.proxy.mesh import front, host, image, rule, services, to, web
from tests.unit.compile.proxy.decode import Json, decoded
from tulle import xds
from tulle.compile.proxy.logs import HTTP_LOG, TCP_LOG, told
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import AppProtocol, Front, Server, Stream

PARTS = services({"a": 8001})
EDGE = front(web(host(("/", rule(to("a"), name="first")))), port=80)
TCP = replace(to("a"), protocol=AppProtocol.TCP)
STREAM = Stream((TCP,), ObjectRef("TCPRoute", "shop", "db"), 3)


def chain(made: Front) -> list[Json]:
    (found,) = decoded(image(PARTS, made), "listener", made.name)["filter_chains"]
    filters: list[Json] = found["filters"]
    return filters


def notes(filters: list[Json]) -> dict[str, str]:
    return {
        item["object_key"]: item["format_string"]["text_format_source"]["inline_string"]
        for item in filters[0]["typed_config"]["on_new_connection"]
    }


def test_requests() -> None:
    filters = chain(EDGE)
    assert notes(filters) == {"tulle.front": EDGE.name}
    (log,) = filters[1]["typed_config"]["access_log"]
    assert log["name"] == HTTP_LOG["name"]
    (made,) = decoded(image(PARTS, EDGE), "route", EDGE.name)["virtual_hosts"]
    assert made["routes"][0]["name"] == "HTTPRoute/shop/web/first"


def test_connections() -> None:
    filters = chain(replace(EDGE, servers=(Server("tcp", protocol="TCP", streams=(STREAM,)),)))
    assert notes(filters) == {"tulle.front": EDGE.name, "tulle.rule": "TCPRoute/shop/db/3"}
    (log,) = filters[1]["typed_config"]["access_log"]
    assert log["name"] == TCP_LOG["name"]


def test_one_stream_and_buffer_for_all() -> None:
    """Envoy keeps one for each distinct configuration."""
    other = replace(EDGE, name="gateway/shop/edge/81", port=81)
    logs = [chain(item)[1]["typed_config"]["access_log"] for item in (EDGE, other)]
    assert logs[0] == logs[1]
    common = logs[0][0]["typed_config"]["common_config"]
    assert common["buffer_size_bytes"] == 65536
    assert common["grpc_service"]["envoy_grpc"]["cluster_name"] == "tulle-agent"


def test_a_part_of_requests_in_envoys_words() -> None:
    read: Any = xds.message("envoy.service.runtime.v3.Runtime").FromString(told(64).body)
    assert read.layer.fields["tulle.told"].number_value == 15625  # of a million
