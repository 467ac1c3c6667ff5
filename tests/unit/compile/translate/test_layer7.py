"""Rules of layer 7 in the one form; a bad one is refused alone, and allows nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.compile.explain.town import policy, town
from tulle.compile.rules import HeaderTest, HttpRule, Layer7
from tulle.compile.translate import policies_of
from tulle.compile.translate.layer7 import layer7
from tulle.model.cilium import PortRule

PLACE = "spec.ingress[0].toPorts[1]"
ALONE = "allows nothing, the rest of the policy is in force"


def translated(**fields: Any) -> tuple[Layer7 | None, list[str]]:
    refused: list[str] = []
    rule = msgspec.convert({"ports": [{"port": "80", "protocol": "TCP"}], **fields}, PortRule)
    return layer7(rule, PLACE, refused), refused


def http(**rule: Any) -> HttpRule:
    found, refused = translated(rules={"http": [rule]})
    assert found and not refused
    return found.http[0]


def test_without_rules_every_request_is_allowed() -> None:
    assert translated() == (None, [])
    assert translated(rules={}) == (None, [])


def test_a_rule_and_its_place() -> None:
    assert http(method="GET", path="/a.*", host="web") == HttpRule(
        "toPorts[1].rules.http[0]", "GET", "/a.*", "web"
    )
    assert http() == HttpRule("toPorts[1].rules.http[0]")


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("X-Key: true", HeaderTest("x-key", "true")),
        ("X-Key true", HeaderTest("x-key", "true")),
        ("X-Key: a b", HeaderTest("x-key", "a b")),
        ("X-Key", HeaderTest("x-key")),
    ],
)
def test_headers(text: str, test: HeaderTest) -> None:
    assert http(headers=[text]).headers == (test,)


def test_header_matches() -> None:
    matches = [
        {"name": "X-A", "value": "1"},
        {"name": "X-B"},
        {"name": "X-C", "value": "2", "mismatch": "REPLACE"},
    ]
    assert http(headerMatches=matches).headers == (
        HeaderTest("x-a", "1"),
        HeaderTest("x-b"),
        HeaderTest("x-c", "2", "REPLACE"),
    )


def test_names_of_servers() -> None:
    found, refused = translated(serverNames=["A.example", "*.b.example", "**.c.example", "d_e"])
    assert found == Layer7(
        "toPorts[1]", server_names=("a.example", "*.b.example", "**.c.example", "d_e")
    )
    assert not refused


@pytest.mark.parametrize("name", ["", "*", "a..b", "*a.example", "a.*", "-a", "a" * 64, "a b"])
def test_what_is_no_name_is_refused_alone(name: str) -> None:
    found, refused = translated(serverNames=[name, "a.example"])
    assert found and found.server_names == ("a.example",)
    assert refused == [f"{PLACE}.serverNames[0] is no DNS name, *.NAME or **.NAME: {ALONE}"]


def mismatching(count: int) -> list[dict[str, str]]:
    return [{"name": f"X-{n}", "value": "1", "mismatch": "ADD"} for n in range(count)]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"path": "("}, "path is no regular expression of RE2: missing ): ("),
        ({"method": "(?=G)"}, "method is no regular expression of RE2: invalid perl operator: (?="),
        ({"host": "a" * 1025}, "host is 1025 bytes long, more than 1024"),
        ({"path": r"\pL{500}"}, "path comes to 3504 instructions of RE2, more than 2000"),
        ({"headers": [""]}, "headers[0] has no name of a header (RFC 9110)"),
        ({"headers": ["X-A", ":path /a"]}, "headers[1] has no name of a header (RFC 9110)"),
        ({"headers": ["Host: a"]}, "headers[0] is the host: use the field host"),
        (
            {"headers": ["Transfer-Encoding: chunked"]},
            "headers[0] is of the connection, which the proxy makes anew",
        ),
        ({"headers": ["X-A: " + "a" * 257]}, "headers[0] has a value longer than 256 bytes"),
        ({"headers": ["X-A: a\nb"]}, "headers[0] has a value that no header can have"),
        (
            {"headerMatches": [{"name": "X-A", "secret": {"name": "a"}}]},
            "headerMatches[0].secret is not supported yet: give it a value",
        ),
        (
            {"headerMatches": [{"name": "X-A", "mismatch": "DELETE"}]},
            "headerMatches[0] needs a value for DELETE",
        ),
        (
            {"headerMatches": [{"name": "connection", "value": "a", "mismatch": "ADD"}]},
            "headerMatches[0] is of the connection, which the proxy makes anew",
        ),
        (
            {"headerMatches": mismatching(4)},
            "headerMatches has more than 3 of ADD, DELETE and LOG",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_alone(rule: dict[str, Any], reason: str) -> None:
    found, refused = translated(rules={"http": [{"path": "/a"}, rule, {"path": "/b"}]})
    assert found and [item.path for item in found.http] == ["/a", "/b"]
    assert [item.place for item in found.http] == [
        "toPorts[1].rules.http[0]",
        "toPorts[1].rules.http[2]",
    ]
    assert refused == [f"{PLACE}.rules.http[1].{reason}: {ALONE}"]


def test_where_nothing_can_be_honoured_nothing_is_allowed() -> None:
    found, refused = translated(rules={"http": [{"path": "("}]})
    assert found == Layer7("toPorts[1]") and len(refused) == 1
    found, refused = translated(rules={"dns": [{"matchPattern": "a..b"}]})
    assert found == Layer7("toPorts[1]", dns=())
    what = "matchPattern is no pattern of DNS names"
    assert refused == [f"{PLACE}.rules.dns[0].{what}: {ALONE}"]


def test_names_that_may_be_asked_for_have_one_form() -> None:
    rules = [{"matchName": "A.Example."}, {"matchPattern": "*.B.example"}, {}]
    found, refused = translated(rules={"dns": rules})
    assert found == Layer7("toPorts[1]", dns=("a.example", "*.b.example"))
    assert len(refused) == 1
    assert "needs a matchName or a matchPattern" in refused[0]


def test_the_policy_is_in_force_without_its_bad_rule() -> None:
    text = """
    endpointSelector: {}
    ingress:
    - toPorts:
      - ports: [{port: "80", protocol: TCP}, {port: "81", protocol: TCP}]
        rules: {http: [{path: "("}, {path: /a}]}
      - ports: [{port: "90", protocol: TCP}]
    """
    found = policies_of(town(policy("shop/p", text, "CiliumNetworkPolicy")))
    assert [item.reason for item in found.refusals] == [
        "spec.ingress[0].toPorts[0].rules.http[0].path is no regular expression of RE2: "
        f"missing ): (: {ALONE}"
    ]
    whole, reading = found.policies[0].rules
    assert [term.port for term in whole.ports or ()] == [90] and whole.layer7 is None
    assert [term.port for term in reading.ports or ()] == [80, 81]
    assert reading.layer7 and [item.path for item in reading.layer7.http] == ["/a"]
