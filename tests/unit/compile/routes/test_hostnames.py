import pytest

from tulle.compile.routes.hostnames import covers, intersection, lineage, specificity


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
