"""Which regular expressions are a choice of texts."""

from __future__ import annotations

import pytest

from tulle.compile.http.literals import NoTextError, Text, texts_of


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("", ("",)),
        ("/a", ("/a",)),
        ("/public/.*", ("/public/*",)),
        (".*", ("*",)),
        ("GET|POST", ("GET", "POST")),
        ("(GET|PUT)", ("GET", "PUT")),
        ("(?:GET|PUT)", ("GET", "PUT")),
        ("^/x$", ("/x",)),
        (r"/a\.html", ("/a.html",)),
        (r"/a\$", ("/a$",)),
        ("/(a|b)/.*", ("/a/*", "/b/*")),
        ("/a|/b/.*", ("/a", "/b/*")),
        ("/a(/.*|)", ("/a/*", "/a")),
        ("/a.*.*", ("/a*",)),
    ],
)
def test_texts(pattern: str, texts: tuple[str, ...]) -> None:
    wanted = tuple(Text(text.removesuffix("*"), text.endswith("*")) for text in texts)
    assert texts_of(pattern) == wanted


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("/a.html", "it has '.'"),
        ("/a?", "it has '?'"),
        ("/a+", "it has '+'"),
        ("/(a)*", "it has '*'"),
        ("/a{2}", "it has '{'"),
        ("/a.*?", "it has '.'"),
        ("/[ab]", "it has '['"),
        (r"/\d", r"it has '\d'"),
        ("(?i)/a", "it has flags"),
        ("/a.*b", "'.*' that is not at its end"),
        ("^/a|/b$", "beside '|'"),
        ("/a)", "parentheses"),
        ("(/a", "parentheses"),
        ("(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b)", "more than 64 texts"),
    ],
)
def test_what_is_none(pattern: str, what: str) -> None:
    with pytest.raises(NoTextError) as problem:
        texts_of(pattern)
    assert what in str(problem.value)
