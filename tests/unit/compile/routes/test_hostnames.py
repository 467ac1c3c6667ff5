import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.compile.routes.hostnames import Names, covers, intersection, lineage, specificity

_NAMES = st.builds(
    lambda wild, labels: ("*." if wild and labels else "") + ".".join(labels),
    st.booleans(),
    st.lists(st.sampled_from("ab"), max_size=3),
)


@pytest.mark.parametrize(
    ("listener", "route", "expected"),
    [
        ("", "", ""),
        ("", "a.example", "a.example"),
        ("a.example", "", "a.example"),
        ("test.example.com", "test.example.com", "test.example.com"),
        ("test.example.com", "*.example.com", "test.example.com"),
        ("*.example.com", "test.example.com", "test.example.com"),
        ("*.example.com", "foo.test.example.com", "foo.test.example.com"),
        ("*.example.com", "*.example.com", "*.example.com"),
        ("*.example.com", "*.test.example.com", "*.test.example.com"),
        ("*.com", "*.example.com", "*.example.com"),
        ("*.example.com", "example.com", None),
        ("*.example.com", "test.example.net", None),
        ("*.example.com", "xexample.com", None),
        ("a.example", "b.example", None),
    ],
)
def test_what_a_listener_and_a_route_share(listener: str, route: str, expected: str | None) -> None:
    assert intersection(listener, route) == intersection(route, listener) == expected


def test_the_lineage_is_all_that_covers() -> None:
    assert lineage("*.a.example") == ("*.a.example", "*.example", "")
    assert all(covers(name, "x.a.example") for name in lineage("x.a.example"))
    assert lineage("") == ("",)


def test_the_most_specific_comes_first() -> None:
    names = ["", "*.example", "a.example", "*.b.example", "long.a.example"]
    expected = ["long.a.example", "a.example", "*.b.example", "*.example", ""]
    assert sorted(names, key=specificity) == expected


@given(st.lists(_NAMES, max_size=4), _NAMES)
def test_names_meet_where_any_of_them_has_something_in_common(names: list[str], other: str) -> None:
    known = Names()
    for name in names:
        known.add(name)
    assert known.meet(other) == any(intersection(name, other) is not None for name in names)
