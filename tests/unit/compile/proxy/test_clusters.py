"""How backends are connected to."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.unit.compile.proxy.decode import KINDS, Json, of_message
from tulle.compile.proxy.clusters import cluster_of
from tulle.compile.proxy.targets import Part, Target
from tulle.model.routing import AppProtocol, UpstreamTls

WEB = Target((Part(("shop", "web"), 80),), AppProtocol.HTTP1)
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
SOURCES = (ip_address("10.0.0.254"), ip_address("fd00::fe"))


def made(target: Target) -> Json:
    return of_message(KINDS["cluster"], cluster_of(target, SOURCES))


def test_names_tell_targets_apart() -> None:
    tls = UpstreamTls("a.example", "PEM")
    targets = [
        WEB,
        replace(WEB, protocol=AppProtocol.HTTP2),
        replace(WEB, protocol=AppProtocol.TCP),
        replace(WEB, protocol=AppProtocol.UDP),
        replace(WEB, family=4),
        replace(WEB, family=6),
        replace(WEB, tls=tls),
        replace(WEB, tls=replace(tls, sni="b.example")),
        replace(WEB, tls=replace(tls, authorities="OTHER")),
        replace(WEB, tls=replace(tls, names=("b.example",))),
        replace(WEB, parts=(Part(("shop", "web"), 81),)),
        replace(WEB, parts=(Part(("shop", "db"), 80),)),
        replace(WEB, parts=(*WEB.parts, Part(("shop", "db"), 80))),
        replace(WEB, parts=(*WEB.parts, Part(("shop", "db"), 80, 2))),
    ]
    assert len({target.name for target in targets}) == len(targets)
    assert WEB.name == "shop/web/80"
    assert replace(WEB, family=6).name == "shop/web/80/ipv6"


def test_nothing_is_limited_unasked() -> None:
    (thresholds,) = made(WEB)["circuit_breakers"]["thresholds"]
    assert set(thresholds.values()) == {(1 << 32) - 1}
    assert len(thresholds) == 4
    assert made(WEB)["common_lb_config"]["healthy_panic_threshold"] == {}


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (AppProtocol.HTTP1, "http_protocol_options"),
        (AppProtocol.HTTP2, "http2_protocol_options"),
        (AppProtocol.TCP, None),
        (AppProtocol.UDP, None),
    ],
)
def test_protocol(protocol: AppProtocol, expected: str | None) -> None:
    found = made(replace(WEB, protocol=protocol)).get("typed_extension_protocol_options", {})
    options = found.get(OPTIONS, {}).get("explicit_http_config", {})
    assert list(options) == ([expected] if expected else [])


def bound(target: Target) -> tuple[dict[tuple[int, int], int], Json]:
    """Socket options, and the rest."""
    config = dict(made(target)["upstream_bind_config"])
    options = config.pop("socket_options")
    found = {
        (int(item.get("level", 0)), int(item["name"])): int(item["int_value"]) for item in options
    }
    return found, config


def test_in_its_own_name_the_proxy_connects_from_its_addresses() -> None:
    options, config = bound(WEB)
    assert options == {(1, 36): 0x74700000, (0, 19): 1, (0, 24): 1}
    assert config["source_address"]["address"] == "10.0.0.254"
    (extra,) = config["extra_source_addresses"]
    assert extra["address"]["address"] == "fd00::fe"


def test_in_a_clients_name_the_ports_are_set_apart() -> None:
    options, config = bound(replace(WEB, family=4))
    ports = 60999 << 16 | 49152
    assert options == {(1, 36): 0x74700000, (0, 19): 1, (0, 24): 1, (0, 51): ports}
    assert config["source_address"]["address"] == "10.0.0.254"  # where no client is known
    assert "extra_source_addresses" not in config
