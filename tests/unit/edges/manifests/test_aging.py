import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from tests.hostile.gateways import HTTP_ROUTE, INGRESS
from tests.hostile.valid import SERVICE
from tulle.edges.manifests import ManifestDirectory, parse
from tulle.edges.manifests.aging import aged
from tulle.model.gateway_routes import HTTPRoute
from tulle.model.kinds import ref_of

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)
LATER = NOW + timedelta(days=1)


def read(base: dict[str, Any], **metadata: Any) -> Any:
    document = {**base, "metadata": {**base["metadata"], **metadata}}
    (item,) = parse(json.dumps(document).encode(), "f").objects
    return item.obj


def changed(route: HTTPRoute) -> HTTPRoute:
    spec = msgspec.structs.replace(route.spec, hostnames=("other.example",))
    return msgspec.structs.replace(route, spec=spec)


def test_the_first_is_new() -> None:
    for base in (HTTP_ROUTE, INGRESS):
        meta = aged(read(base), None, NOW).metadata
        assert (meta.creation_timestamp, meta.generation) == ("2026-01-02T03:04:05Z", 1)


def test_a_change_of_what_is_wished_raises_the_generation() -> None:
    first = aged(read(HTTP_ROUTE), None, NOW)
    assert aged(read(HTTP_ROUTE), first, LATER) == first
    labelled = aged(read(HTTP_ROUTE, labels={"a": "b"}), first, LATER)
    assert labelled != first
    assert labelled.metadata.generation == 1
    second = aged(changed(read(HTTP_ROUTE)), first, LATER)
    assert second.metadata.generation == 2
    assert second.metadata.creation_timestamp == first.metadata.creation_timestamp


def test_what_a_manifest_says_stays() -> None:
    own = read(HTTP_ROUTE, generation=9, creationTimestamp="2020-01-01T00:00:00Z")
    assert aged(own, aged(read(HTTP_ROUTE), None, NOW), LATER) == own


def test_one_without_an_age_gets_one_with_its_next_change() -> None:
    old = read(HTTP_ROUTE)
    meta = aged(changed(old), old, LATER).metadata
    assert (meta.creation_timestamp, meta.generation) == ("2026-01-03T03:04:05Z", 1)


def test_others_have_none() -> None:
    service = read(SERVICE)
    assert aged(service, None, NOW) is service


def test_it_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    directory = ManifestDirectory(tmp_path / "manifests", tmp_path / "last-good.json")
    route = aged(read(HTTP_ROUTE), None, NOW)
    directory.put(route)
    assert directory.scan().get(ref_of(route)) == route
