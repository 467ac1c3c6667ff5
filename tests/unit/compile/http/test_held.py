"""Rules in the kernel's form, looked up as the kernel does, against the rules themselves."""

from __future__ import annotations

import random
from functools import reduce
from operator import or_

import pytest

from tulle import abi
from tulle.compile.http import Held, hold
from tulle.compile.regex import fullmatch
from tulle.compile.rules import HeaderTest, HttpRule, Layer7

PATHS = ("", "/a", "/a/.*", "/b|/a/b", "/(a|b)/c.*", ".*", r"/a\.b")
METHODS, HOSTS = ("", "GET", "GET|POST"), ("", "web", "web|api")
TESTS = (HeaderTest("x"), HeaderTest("x", "1"), HeaderTest("y", "2"))


def held(*rules: HttpRule, audit: bool = False, outgoing: bool = False) -> Held | str:
    return hold(True, [("", Layer7("", rules))], audit=audit, outgoing=outgoing, host=False)


def met_in_kernel(rows: dict[bytes, bytes], headers: dict[str, str]) -> int:
    """The conditions that headers meet, of which none comes twice; of set 7."""

    def row(name: str, value: str = "") -> abi.HttpHeader:
        key = abi.HttpHeaderKey(7, name.encode(), value.encode()).pack()
        return abi.HttpHeader.unpack(rows[key]) if key in rows else abi.HttpHeader()

    assert bool(rows) == (abi.HttpHeaderKey(7).pack() in rows)
    named = {name for name in headers if abi.HttpHeaderKey(7, name.encode()).pack() in rows}
    return reduce(or_, (row(name).met | row(name, headers[name]).met for name in named), 0)


def looked_up(
    found: Held, method: str, path: str, host: str, headers: dict[str, str]
) -> int | None:
    """The longest prefix, then the first choice that is met."""
    made = found.rows(7)
    assert {name: len(rows) for name, rows in made.items()} == found.sizes
    met = met_in_kernel(made["http_headers"], headers)
    bits = {test: 1 << place for place, test in enumerate(found.conditions)}
    whole = path.encode() + b"\0"
    longest = max((key for key in found.choices if whole.startswith(key)), key=len)
    for choice in found.choices[longest]:
        wanted = sum(bits[test] for test in choice.headers)
        alike = choice.method in (b"", method.encode()) and choice.host in (b"", host.encode())
        if alike and not wanted & ~met:
            return choice.rule
    return None


def test_a_look_up_finds_the_first_rule_that_allows() -> None:
    draw = random.Random(1)
    outcomes = set()
    for _ in range(2000):
        rules = [
            HttpRule(
                *(str(n), draw.choice(METHODS), draw.choice(PATHS), draw.choice(HOSTS)),
                tuple(draw.sample(TESTS, draw.choice((0, 0, 1, 2)))),
            )
            for n in range(draw.randint(0, 3))
        ]
        found = held(*rules)
        if isinstance(found, str):
            assert "more than 8 rules" in found
            continue
        method, host = draw.choice(("GET", "POST", "PUT")), draw.choice(("web", "api", "x"))
        path = draw.choice(("/", "/a", "/a/", "/a/b", "/a/c?x", "/b", "/b/c", "/b/cd", "/a.b"))
        headers = {name: draw.choice("12") for name in draw.sample("xyz", draw.randint(0, 3))}
        meant = (
            number
            for number, rule in enumerate(rules)
            if all(
                not pattern or fullmatch(pattern, text)
                for pattern, text in (
                    (rule.method, method),
                    (rule.path, path),
                    (rule.host, host),
                )
            )
            and all(
                test.name in headers and test.value in (None, headers[test.name])
                for test in rule.headers
            )
        )
        expected = next(meant, None)
        assert looked_up(found, method, path, host, headers) == expected
        outcomes.add(expected)
    assert outcomes == {None, 0, 1, 2}


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (HttpRule("r", path="/a?"), "r.path is a regular expression: it has '?'"),
        (HttpRule("r", method="G.*"), "r.method is a regular expression: it has '.*'"),
        (HttpRule("r", host="w[e]b"), "r.host is a regular expression: it has '['"),
        (HttpRule("r", path="/" + "a" * 126), "r.path is longer than 126 bytes"),
        (HttpRule("r", method="M" * 16), "r.method is longer than 15 bytes"),
        (HttpRule("r", headers=(HeaderTest("x_y"),)), "r.headers: x_y is long, or has an under"),
        (HttpRule("r", headers=(HeaderTest("x", "v" * 65),)), "value of x is longer than 64 bytes"),
        (HttpRule("r", headers=(HeaderTest("x", "v", "ADD"),)), "the kernel changes no headers"),
    ],
)
def test_what_the_kernel_cannot_hold(rule: HttpRule, why: str) -> None:
    assert why in str(held(rule))


def test_what_is_not_the_kernels_to_judge() -> None:
    rule = HttpRule("r", path="/a")
    assert str(held(rule, audit=True)).startswith("audit")
    assert str(held(rule, outgoing=True)).startswith("egress")
    tls = Layer7("toPorts[1]", (), ("a.test",))
    for wanted in (True, False):
        said = hold(wanted, [("a", tls)], audit=False, outgoing=True, host=False)
        assert said == "toPorts[1].serverNames: the proxy judges names in TLS"
    both = [("a", Layer7("toPorts[0]", (rule,))), ("b", tls)]
    said = hold(True, both, audit=False, outgoing=False, host=False)
    assert str(said).startswith("b.toPorts[1].serverNames: ")
    assert "node itself" in str(hold(True, [], audit=False, outgoing=False, host=True))
    unwanted = hold(False, [("", Layer7("", (rule,)))], audit=False, outgoing=False, host=False)
    assert unwanted == "nodes were not started with --stream"
    many = [HttpRule("r", method=f"M{n}", path="/a") for n in range(9)]
    assert "more than 8 rules meet the path '/a'" in str(held(*many))
    conditions = [HttpRule("r", headers=(HeaderTest("x", str(n)),)) for n in range(8)]
    assert isinstance(held(*conditions), Held)
    headers = tuple(HeaderTest(f"x-{n}") for n in range(33))
    assert "more than 32 conditions" in str(held(HttpRule("r", headers=headers)))
