"""Counters of requests, with names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tulle.abi import HttpBucket, HttpClass, HttpCount, HttpCountKey
from tulle.agent.requests import percentile, requests
from tulle.agent.tally import Tally
from tulle.compile.rule_sets import Part, RuleSet
from tulle.compile.rules import HttpRule, Layer7
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import Rule

RULE = Rule("ingress", ObjectRef("CiliumNetworkPolicy", "shop", "web"), 0)
PATHS = (HttpRule("http[0]", path="/a/.*"), HttpRule("http[1]"))
SETS = {1024: RuleSet(1024, "", (Part(RULE, Layer7("toPorts[0]", PATHS)),))}
NAMES = {256: "k8s:app=client", 257: "k8s:app=web"}


def buckets(**at: int) -> Any:
    return tuple(at.get(f"b{place}", 0) for place in range(HttpBucket.BUCKETS))


def listed(counts: dict[HttpCountKey, HttpCount]) -> dict[tuple[str, str], dict[str, Any]]:
    isolation = SimpleNamespace(rule_sets=SETS)
    compiled = SimpleNamespace(identities=NAMES, memo=SimpleNamespace(isolation=isolation))
    tally = Tally(cast(Any, SimpleNamespace(request_counts=lambda: counts)))
    tally.note(cast(Any, compiled))
    agent, now = SimpleNamespace(tally=tally), SimpleNamespace(compiled=compiled)
    rows = requests(cast(Any, agent), cast(Any, now))
    return {(row["route"], row["status"]): row for row in rows}


def test_rows_have_names_routes_and_times() -> None:
    rows = listed(
        {
            HttpCountKey(256, 257, 0, 1024, 2): HttpCount(3, 9_000, buckets(b1=1, b2=1)),
            HttpCountKey(256, 257, 1, 1024, 5): HttpCount(1, 1_000, buckets(b0=1)),
            HttpCountKey(256, 257, 0, 1024, HttpClass.REFUSED): HttpCount(7),
            HttpCountKey(999, 257, 0, 0, HttpClass.UNSEEN): HttpCount(2),
            HttpCountKey(): HttpCount(),
        }
    )
    assert set(rows) == {("/a/.*", "2xx"), ("/.*", "5xx"), ("-", "refused"), ("other", "not seen")}
    ok = rows["/a/.*", "2xx"]
    assert (ok["source"], ok["destination"]) == ("k8s:app=client", "k8s:app=web")
    assert (ok["requests"], ok["mean_us"]) == (3, 4.5)
    assert list(ok["buckets_us"].items())[:4] == [("1", 0), ("2", 1), ("4", 2), ("8", 2)]
    assert ok["buckets_us"]["+Inf"] == 2
    assert rows["other", "not seen"]["source"] == "identity 999"
    assert rows["-", "refused"]["p50_us"] is None


def test_counts_of_rules_that_have_gone_are_not_taken_for_those_of_none() -> None:
    assert set(listed({HttpCountKey(256, 257, 0, 1025, 2): HttpCount(1)})) == {
        ("rules that are gone", "2xx")
    }
    assert set(listed({HttpCountKey(256, 257, 9, 1024, 2): HttpCount(1)})) == {
        ("rules that are gone", "2xx")
    }


def test_what_found_no_room_is_a_row_of_its_own() -> None:
    (row,) = listed({HttpCountKey(): HttpCount(5)}).values()
    assert row["source"] == row["destination"] == "more than there is room for"


def test_percentiles_lie_within_their_bucket() -> None:
    assert percentile((10, 0, 0, 10), 0.5) == 1.0
    assert percentile((0, 0, 4), 1.0) == 4.0
