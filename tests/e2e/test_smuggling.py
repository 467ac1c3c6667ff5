"""No byte of a denied request reaches the backend, whatever it looks like; checked at the backend.

Raw sockets in a client's namespace, the kernel's steering and the node's own Envoy, on the node of
the backend and from another one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.reading import Backend, Field, reading
from tests.proxy.smuggling import CASES, MARKER, Case

ALLOWED = [{"method": "GET|POST", "path": "/public/.*"}]
# where the backend is, and the family that it is asked in
PLACES = (("here", 4), ("here", 6), ("there", 4), ("there", 6))


@pytest.fixture(scope="module", params=["vxlan", "native"])
def field(
    request: pytest.FixtureRequest, clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Field]:
    place = tmp_path_factory.mktemp("seen")
    with clusters(f"s{request.param[0]}", ("a", "b"), "--routing", request.param) as cluster:
        made = Field.of(cluster, place)
        made.start()
        cluster.apply(reading("web", "web", ALLOWED))
        yield made


@pytest.mark.parametrize(("where", "family"), PLACES)
def test_no_byte_of_a_denied_request_reaches_the_backend(
    field: Field, where: str, family: int
) -> None:
    backend = field.at(where)
    address = backend.addresses[family]
    wrong = [text for case in CASES if (text := _wrong(field, backend, address, case))]
    assert not wrong, "\n".join(wrong)


def _wrong(field: Field, backend: Backend, address: str, case: Case) -> str:
    """What a case did that it must not; "" if nothing."""
    said = field.client.say(address, case.sent, len(case.answers))
    reached = backend.seen()
    if MARKER in reached:
        return f"{case.name}: reached the backend: {reached!r}"
    if not case.is_answered(said.statuses):
        return f"{case.name}: answered {said.statuses} instead of {case.answers}"
    return "" if case.is_reached(reached) else f"{case.name}: the backend got {reached!r}"


def test_the_list_is_long() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40
