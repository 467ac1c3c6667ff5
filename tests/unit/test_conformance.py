"""The table of features is whole, and the document that is made of it is up to date."""

from __future__ import annotations

from collections import Counter

import yaml

from tests.e2e.conformance.document import PATH, document, rows_of
from tests.e2e.conformance.ground import fault
from tests.e2e.conformance.rows import ALL
from tests.e2e.conformance.table import FEATURES, Expect
from tulle.compile.routes.classes import SUPPORTED_FEATURES
from tulle.edges.manifests.parse import parse


def test_every_feature_has_a_row_and_every_row_a_feature() -> None:
    named = [feature for names in FEATURES.values() for feature in names]
    assert [feature for feature in named if not rows_of(feature)] == []
    assert [row.id for row in ALL if row.feature not in named] == []
    assert [name for name, count in Counter(row.id for row in ALL).items() if count > 1] == []


def test_what_a_gateway_class_claims_is_tried_and_passes() -> None:
    for feature in SUPPORTED_FEATURES:
        assert rows_of(feature), feature
        assert not any(row.missing for row in rows_of(feature)), feature


def test_every_row_asks_something() -> None:
    assert [row.id for row in ALL if not row.checks and row.also is None] == []


def test_every_object_of_the_table_is_well_formed() -> None:
    objects = [item for row in ALL for item in row.objects]
    assert [str(bad.error) for bad in parse(yaml.safe_dump_all(objects).encode(), "-").errors] == []


def test_the_document_is_what_the_table_gives() -> None:
    assert PATH.read_text() == document(), "run python -m tests.e2e.conformance.document"


def test_an_answer_is_held_against_all_that_is_expected() -> None:
    told = '{"name": "one", "path": "/a", "headers": {"x-a": ["1", "2"]}}'
    answer = {"status": 200, "headers": [["x-b", "3"]], "body": told}
    assert (
        fault(Expect(backend="one", path="/a", got={"x-a": "1,2"}, has={"x-b": "3"}), answer)
        is None
    )
    for wrong in (
        Expect(status=404),
        Expect(backend="two"),
        Expect(path="/b"),
        Expect(got={"x-a": "1"}),
        Expect(not_got=("x-a",)),
        Expect(has={"x-b": "4"}),
        Expect(has={"x-c": ".*"}),
        Expect(has_not=("x-b",)),
        Expect(fails=True),
    ):
        assert fault(wrong, answer) is not None
    assert fault(Expect(), {"error": "reset"}) is not None
    assert fault(Expect(fails=True), {"error": "reset"}) is None
