"""What another plugin of the chain has made before us, as its result tells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_interface
from typing import Any

from tulle.errors import Refused, printable
from tulle.model.world import IPAddress

Json = Mapping[str, Any]


def addresses_in(previous: Json, ifname: str) -> tuple[IPAddress, ...]:
    """Those of the interface within the pod. Raises Refused, which names the field."""
    places = {
        place
        for place, item in enumerate(_list(previous, "interfaces"))
        if item.get("name") == ifname and item.get("sandbox")
    }
    if not places:
        raise Refused(f"prevResult.interfaces: {printable(ifname)} of the pod is not among them")
    found = tuple(dict.fromkeys(_addresses(previous, places)))
    if not found:
        raise Refused(f"prevResult.ips: none is of interface {printable(ifname)}")
    return found


def _addresses(previous: Json, places: set[int]) -> Iterator[IPAddress]:
    for number, item in enumerate(_list(previous, "ips")):
        # results before 1.0 may leave out where an address is
        if item.get("interface") is not None and item["interface"] not in places:
            continue
        try:
            yield ip_interface(str(item.get("address"))).ip
        except ValueError as error:
            reason = f"prevResult.ips[{number}].address: {printable(str(item.get('address')))}"
            raise Refused(f"{reason} is no address") from error


def _list(previous: Json, name: str) -> list[Json]:
    value = previous.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(f"prevResult.{name}: must be a list of objects")
    return value
