from typing import Any

import pytest

from tulle.edges.manifests.slices import validate_slice
from tulle.errors import ManifestError
from tulle.model.kubernetes import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
    ObjectMeta,
)


def slice_(addresses: tuple[str, ...] = ("10.0.0.1",), **fields: Any) -> EndpointSlice:
    labels = fields.pop("labels", {SERVICE_NAME_LABEL: "db"})
    fields = {"address_type": "IPv4", "endpoints": (Endpoint(addresses),), **fields}
    return validate_slice(EndpointSlice(ObjectMeta("db-1", "shop", labels), **fields))


def test_addresses_are_canonical() -> None:
    found = slice_(("FD00::0:1",), address_type="IPv6")
    assert found.endpoints[0].addresses == ("fd00::1",)


def hinted(hints: EndpointHints) -> dict[str, Any]:
    return {"endpoints": (Endpoint(("10.0.0.1",), hints=hints),)}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"labels": {}}, "metadata.labels"),
        ({"labels": {SERVICE_NAME_LABEL: "A"}}, f'metadata.labels["{SERVICE_NAME_LABEL}"]'),
        ({"address_type": "IPv6"}, "endpoints[0].addresses[0]"),
        ({"addresses": ("10.0.0.1", "127.0.0.1")}, "endpoints[0].addresses[1]"),
        ({"ports": (EndpointPort(),)}, "ports[0].port"),
        ({"ports": (EndpointPort(1), EndpointPort(2))}, "ports[1].name"),
        ({"ports": (EndpointPort(1, "A"),)}, "ports[0].name"),
        ({"ports": (EndpointPort(1, protocol="SCTP"),)}, "ports[0].protocol"),
        ({"ports": tuple(EndpointPort(1, str(n)) for n in range(101))}, "ports"),
        ({"endpoints": (Endpoint(("10.0.0.1",)),) * 1001}, "endpoints"),
        (hinted(EndpointHints((ForZone("a"), ForZone("")))), "endpoints[0].hints.forZones[1].name"),
        (hinted(EndpointHints((), (ForNode("n"),) * 9)), "endpoints[0].hints.forNodes"),
    ],
)
def test_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        slice_(**fields)
    assert caught.value.field == field
