from typing import Any

import pytest

from tulle.edges.manifests.tree import (
    MAX_EXPANDED,
    Budget,
    FileLimit,
    Tree,
    YamlError,
    compose,
    plain,
    walk,
)


def tree(text: str, first_line: int = 1) -> Tree:
    found = compose(text, first_line, Budget())
    assert found is not None
    return found


def read(text: str) -> Any:
    return tree(text).root


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("80", 80),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("No", False),
        ("~", None),
        ("", None),
        ("web", "web"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("1:30", "1:30"),
        ("10.0.0.1", "10.0.0.1"),
        ("1.2.3", "1.2.3"),
        ("0abc", "0abc"),
        ("=", "="),
    ],
)
def test_plain_scalars_are_what_kubernetes_takes_them_for(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert read("""{a: "80", b: 'true', c: !!str 80}""") == {"a": "80", "b": "true", "c": "80"}


def test_marks_lead_to_keys_and_items() -> None:
    only = tree("a:\n  - b: 1\n    c: 2\n  - 3\n", 10)
    assert only.place(()) == (10, 1)
    assert only.place(("a",)) == (10, 1)
    assert only.place(("a", 0, "c")) == (12, 5)
    assert only.place(("a", 1)) == (13, 5)


def test_place_of_what_is_missing_is_its_parents() -> None:
    only = tree("a:\n  b: 1\n")
    assert only.place(("a", "nope", 3)) == (1, 1)
    assert only.value_at(("a", "b", "c")) is None


def test_aliases_share_and_are_counted() -> None:
    assert read("{a: &x [1, 2], b: *x}") == {"a": [1, 2], "b": [1, 2]}
    budget = Budget()
    compose("a: &x " + "y" * 100 + "\nb: [*x, *x]", 1, budget)
    assert MAX_EXPANDED - budget.expanded > 300


def test_the_expansion_of_all_documents_is_counted_together() -> None:
    budget = Budget(expanded=1000)
    text = "a: &x " + "y" * 200 + "\nb: [*x, *x]"
    compose(text, 1, budget)
    with pytest.raises(YamlError, match="aliases make the file longer"):
        compose(text, 1, budget)


def test_an_anchor_may_be_set_again() -> None:
    assert read("[&a 1, *a, &a 2, *a]") == [1, 1, 2, 2]


def test_depth_is_that_after_expansion() -> None:
    half = "[" * 40 + "x" + "]" * 40
    assert read(f"a: {half}")
    with pytest.raises(YamlError, match="deeper than 64"):
        compose(f"a: &a {half}\nb: {half.replace('x', '*a')}", 1, Budget())


def test_error_carries_what_was_whole_before_it() -> None:
    with pytest.raises(YamlError) as caught:
        compose("kind: Pod\nmetadata: {name: a}\nspec: {x: [\n", 1, Budget())
    assert caught.value.partial == {"kind": "Pod", "metadata": {"name": "a"}}
    assert caught.value.path[0] == "spec"


def test_too_many_events_spend_the_file() -> None:
    with pytest.raises(FileLimit, match="split it"):
        compose("[a, b, c, d]", 1, Budget(events=5))


def test_walk_is_in_order_with_paths() -> None:
    assert list(walk({"a": [1, None]})) == [
        ((), {"a": [1, None]}),
        (("a",), [1, None]),
        (("a", 0), 1),
        (("a", 1), None),
    ]
