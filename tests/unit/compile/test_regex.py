"""Regular expressions: what the proxy would refuse is refused here."""

from __future__ import annotations

import pytest

from tulle.compile.regex import MAX_LENGTH, fullmatch, problem


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("/public", "/public", True),
        ("/public", "/public/a", False),
        ("/public", "/public?a", False),
        ("/public.*", "/public/a?b", True),
        ("^/public$", "/public", True),
        ("GET|HEAD", "HEAD", True),
        ("GET|HEAD", "GETX", False),
        ("(?i)get", "GeT", True),
        (".", "é", False),  # bytes
        ("é", "é", True),
        ("(", "(", False),
    ],
)
def test_the_whole_text_must_match(pattern: str, text: str, matches: bool) -> None:
    assert fullmatch(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=/a)", "is no regular expression of RE2: invalid perl operator: (?="),
        (r"(a)\1", "is no regular expression of RE2: invalid escape sequence: \\1"),
        ("(", "is no regular expression of RE2: missing ): ("),
        ("(?P<\x1b[2J>a)", r"invalid named capture group: (?P<\u001b[2J>"),  # nobody's terminal
        ("a{1001}", "is no regular expression of RE2: invalid repetition size: {1001}"),
        (r"\pL{500}", "instructions of RE2, more than 2000"),
        ("a" * (MAX_LENGTH + 1), "is 1025 bytes long, more than 1024"),
        ("a" * 400, ""),
        (r"/v1/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ""),
    ],
)
def test_what_the_proxy_would_not_take(pattern: str, reason: str) -> None:
    assert problem(pattern) == reason if not reason else reason in problem(pattern)
