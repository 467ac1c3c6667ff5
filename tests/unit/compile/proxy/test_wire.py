"""Parts put together are the message that would have been made at once."""

from __future__ import annotations

import pytest

from tulle import xds
from tulle.compile.proxy.wire import joined, varint

TABLE = "envoy.config.route.v3.RouteConfiguration"
HOST = "envoy.config.route.v3.VirtualHost"


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("length", [1, 127, 128, 20_000])
def test_a_repeated_field(count: int, length: int) -> None:
    hosts = [{"name": f"{number}" * length, "domains": ["*"]} for number in range(count)]
    parts = [xds.pack(HOST, **host) for host in hosts]
    made = xds.pack(TABLE, name="t") + joined(2, parts)
    whole = xds.message(TABLE)(name="t", virtual_hosts=hosts)
    assert xds.message(TABLE).FromString(made) == whole


@pytest.mark.parametrize(
    ("number", "raw"), [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001")]
)
def test_varint(number: int, raw: str) -> None:
    assert varint(number).hex() == raw
