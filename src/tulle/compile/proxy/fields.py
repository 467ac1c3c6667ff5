"""Values that many xDS messages share, as `tulle.xds` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tulle.model.world import IPAddress

Fields = dict[str, Any]

MILLION = 1_000_000
ADS: Fields = {"ads": {}, "resource_api_version": "V3"}


def value(of: float | str | bool) -> Fields:
    """A wrapper message (google.protobuf.UInt32Value and its like)."""
    return {"value": of}


def milliseconds(count: int) -> Fields:
    """A google.protobuf.Duration."""
    return {"seconds": count // 1000, "nanos": count % 1000 * MILLION}


def fraction(numerator: int, denominator: int) -> Fields:
    """A RuntimeFractionalPercent that no runtime changes, to one in a million."""
    parts = round(MILLION * numerator / denominator)
    return {"default_value": {"numerator": parts, "denominator": "MILLION"}}


def regex(text: str) -> Fields:
    """A RegexMatcher: of the whole text."""
    return {"regex": text}


def quoted(text: str) -> str:
    """A regular expression of RE2 that only this text matches.

    >>> quoted("/a.b")
    '/a\\\\.b'
    """
    return "".join(
        char if char.isalnum() or char in "_/" or not char.isascii() else f"\\{char}"
        for char in text
    )


def literal(text: str) -> str:
    """Text where Envoy would take `%…%` for a command operator."""
    return text.replace("%", "%%")


def socket_address(address: IPAddress, port: int, protocol: str = "TCP") -> Fields:
    return {
        "socket_address": {"protocol": protocol, "address": str(address), "port_value": port},
    }


def extension(name: str, config: Fields) -> Fields:
    """A typed extension; `config` is an Any."""
    return {"name": name, "typed_config": config}


def of_family(addresses: Sequence[IPAddress], family: int) -> tuple[IPAddress, ...]:
    return tuple(address for address in addresses if address.version == family)
