import time
from typing import Any

import pytest

from tests.hostile.gateways import GRPC_ROUTE, HTTP_ROUTE, TLS_ROUTE
from tests.unit.edges.manifests.test_gateway import said
from tulle.model.references import duration_ms


def parents(*refs: dict[str, Any]) -> str:
    return said(HTTP_ROUTE, parentRefs=[{"name": "a", **ref} for ref in refs])


@pytest.mark.parametrize(
    ("refs", "reason"),
    [
        (({}, {"namespace": "b"}), ""),
        (({"sectionName": "x"}, {"sectionName": "y"}), ""),
        (({"port": 1}, {"port": 2}), ""),
        (({"sectionName": "x", "port": 1}, {"sectionName": "x", "port": 2}), ""),
        (({}, {}), "parentRefs[1]: names the same parent"),
        (({}, {"sectionName": "x"}), "parentRefs[1].sectionName: must be given in all"),
        (({"port": 1}, {"sectionName": "x"}), "parentRefs[1].port: must be given in all"),
        (({"sectionName": "x"}, {"kind": "ListenerSet"}), ""),
    ],
)
def test_references_to_one_parent(refs: tuple[dict[str, Any], ...], reason: str) -> None:
    found = parents(*refs)
    assert reason in found if reason else not found


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ({"value": "/a//b"}, 'must not contain "//"'),
        ({"value": "/a/.."}, 'must not end with "/.."'),
        ({"value": "a"}, "must start with /"),
        ({"value": "/ä"}, "characters that a path cannot have"),
        ({"value": "/a%20b/~c;d=e"}, ""),
        ({"type": "RegularExpression", "value": "a//b(c|d)"}, ""),
    ],
)
def test_paths(path: dict[str, str], reason: str) -> None:
    found = said(HTTP_ROUTE, rules=[{"matches": [{"path": path}]}])
    assert reason in found if reason else not found


def test_a_prefix_is_replaced_where_one_is_matched() -> None:
    change = {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": change}}
    exact = {"path": {"type": "Exact", "value": "/a"}}
    reason = "rules[0].matches: replacePrefixMatch needs exactly one match"
    for matches in ([exact], [{}, {}]):
        assert reason in said(HTTP_ROUTE, rules=[{"filters": [rewrite], "matches": matches}])
        backend = {"name": "a", "port": 80, "filters": [rewrite]}
        assert reason in said(HTTP_ROUTE, rules=[{"backendRefs": [backend], "matches": matches}])
    assert not said(HTTP_ROUTE, rules=[{"filters": [rewrite]}])  # the default is a prefix


def test_an_attempt_takes_no_longer_than_the_request() -> None:
    times = {"request": "1s", "backendRequest": "1001ms"}
    assert "backendRequest: is longer" in said(HTTP_ROUTE, rules=[{"timeouts": times}])
    assert not said(HTTP_ROUTE, rules=[{"timeouts": {**times, "request": "0s"}}])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0s", 0), ("1h", 3_600_000), ("1h2m3s4ms", 3_723_004), ("99999h", 359_996_400_000)],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_ms(text) == expected


def test_grpc_methods() -> None:
    for method in ({"service": "a.B.c"}, {"method": "Get"}, {"service": ".a"}):
        assert not said(GRPC_ROUTE, rules=[{"matches": [{"method": method}]}])
    assert "needs at least one of" in said(GRPC_ROUTE, rules=[{"matches": [{"method": {}}]}])


def test_server_names() -> None:
    assert "is an IP address" in said(TLS_ROUTE, hostnames=["10.0.0.1"])
    alpha = {**TLS_ROUTE, "apiVersion": "gateway.networking.k8s.io/v1alpha2"}
    assert "needs at least one" in said(TLS_ROUTE, hostnames=[])
    assert not said(alpha, hostnames=[])


def test_expressions_for_service_and_method_are_one_to_the_proxy() -> None:
    large = {"type": "RegularExpression", "service": "(a|b){500}"}
    assert not said(GRPC_ROUTE, rules=[{"matches": [{"method": large}]}])
    both = {**large, "method": "(a|b){500}"}
    assert "matches[0].method: " in said(GRPC_ROUTE, rules=[{"matches": [{"method": both}]}])


def test_a_headers_value_that_is_none_takes_no_time() -> None:
    header = {"name": "x", "value": "a" * 4000 + " "}
    began = time.process_time()
    assert "does not match" in said(HTTP_ROUTE, rules=[{"matches": [{"headers": [header]}]}])
    assert time.process_time() - began < 10  # it would be for ever
