"""Precedence of HTTPRoutes' matches, and what their rules come to."""

from itertools import permutations
from typing import Any

import pytest

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    TO_WEB,
    condition,
    gateway,
    hosts,
    http_route,
    listener,
    of_route,
    order,
    routed,
    with_paths,
)
from tulle.model.routing import RequestMatch, TextMatch, ValueMatch


def exact(path: str, **more: Any) -> dict[str, Any]:
    return {"path": {"type": "Exact", "value": path}, **more}


def prefix(path: str, **more: Any) -> dict[str, Any]:
    return {"path": {"value": path}, **more}


def headers(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "value": "1"} for name in names]


def matches_of(*texts: Any) -> list[RequestMatch]:
    return [match for match, _ in hosts(routed(GATEWAY, *texts))["*"].entries]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(exact("/a"), prefix("/a/long/prefix"), id="exact before prefix"),
        pytest.param(prefix("/abc"), prefix("/ab"), id="longer prefix"),
        pytest.param(prefix("/abc"), prefix("/ab", method="GET"), id="prefix before method"),
        pytest.param(prefix("/a", method="GET"), prefix("/a"), id="method"),
        pytest.param(
            prefix("/a", method="GET"),
            prefix("/a", headers=headers("x", "y")),
            id="method before headers",
        ),
        pytest.param(
            prefix("/a", headers=headers("x", "y")),
            prefix("/a", headers=headers("z")),
            id="more headers",
        ),
        pytest.param(
            prefix("/a", headers=headers("x")),
            prefix("/a", queryParams=headers("x", "y")),
            id="headers before parameters",
        ),
        pytest.param(
            prefix("/a", queryParams=headers("x", "y")),
            prefix("/a", queryParams=headers("z")),
            id="more parameters",
        ),
        pytest.param(
            exact("/a"),
            {"path": {"type": "RegularExpression", "value": "/aaaaaaaaa"}},
            id="exact before expression",
        ),
    ],
)
def test_precedence_of_matches(first: dict[str, Any], second: dict[str, Any]) -> None:
    for pair in permutations((first, second)):
        in_one = routed(GATEWAY, http_route(rules=with_paths(*pair)))
        host = hosts(in_one)["*"]
        assert order(host) == [f"r/{pair.index(first)}", f"r/{pair.index(second)}"]
        in_two = routed(
            GATEWAY, *(http_route(f"r{n}", rules=with_paths(item)) for n, item in enumerate(pair))
        )
        names = [f"r{pair.index(first)}/0", f"r{pair.index(second)}/0"]
        assert order(hosts(in_two)["*"]) == names


def test_of_equal_matches_the_oldest_route_wins_then_its_name_then_the_place() -> None:
    found = routed(
        GATEWAY,
        http_route("a", rules=with_paths("/x", "/x")),
        http_route("b", created="2024-01-02T00:00:00Z", rules=with_paths("/x")),
        http_route("c", created="2024-01-01T00:00:00Z", rules=with_paths("/x")),
        http_route("d", created="2024-01-02T00:00:00Z", rules=with_paths("/x")),
    )
    assert order(hosts(found)["*"]) == ["c/0", "b/0", "d/0", "a/0", "a/1"]


def test_names_are_compared_as_text_with_their_namespaces() -> None:
    """As `{namespace}/{name}`, in which a dash comes before the slash."""
    listening = gateway(listener(allowedRoutes={"namespaces": {"from": "All"}}))
    parents = [{"name": "gw", "namespace": "shop"}]
    found = routed(
        listening,
        *(
            http_route(name, namespace, parentRefs=parents, rules=with_paths("/x"))
            for name, namespace in (("one", "a"), ("two", "a-b"))
        ),
    )
    assert order(hosts(found)["*"]) == ["two/0", "one/0"]


def test_matches() -> None:
    rule = {
        "matches": [
            {
                "path": {"value": "/a/"},
                "method": "PUT",
                "headers": [
                    {"name": "X-A", "value": "1"},
                    {"name": "x-a", "value": "2"},
                    {"name": "b", "value": ".*", "type": "RegularExpression"},
                ],
                "queryParams": [{"name": "Q", "value": "é"}],
            }
        ],
        **TO_WEB[0],
    }
    assert matches_of(http_route(rules=[rule])) == [
        RequestMatch(
            "/a",
            TextMatch.PREFIX,
            "PUT",
            (ValueMatch("x-a", "1"), ValueMatch("b", ".*", TextMatch.REGEX)),
            (ValueMatch("Q", "é"),),
        )
    ]


def test_without_matches_all_requests_match() -> None:
    assert matches_of(http_route(rules=TO_WEB)) == [RequestMatch()]
    assert matches_of(http_route(rules=[{"matches": [], **TO_WEB[0]}])) == [RequestMatch()]


def rule_of(**fields: Any) -> Any:
    found = routed(GATEWAY, http_route(rules=[{**TO_WEB[0], **fields}]))
    ((_, rule),) = hosts(found)["*"].entries
    return rule


def test_times_retries_and_sessions() -> None:
    rule = rule_of(
        name="one",
        timeouts={"request": "0s", "backendRequest": "1s500ms"},
        retry={"codes": [503], "attempts": 3, "backoff": "20ms"},
        sessionPersistence={
            "cookie": {"name": "c", "lifetimeType": "Permanent", "path": "/p"},
            "absoluteTimeout": "1500ms",
        },
    )
    assert (rule.timeout_ms, rule.backend_timeout_ms) == (0, 1500)
    assert (rule.retry.attempts, rule.retry.codes, rule.retry.backoff_ms) == (3, (503,), 20)
    session = rule.session
    assert (session.kind, session.name, session.lifetime_s, session.path) == (
        "Cookie",
        "c",
        2,
        "/p",
    )
    assert rule.id == "HTTPRoute/shop/r/one"
    bare = rule_of()
    assert (bare.timeout_ms, bare.retry, bare.session) == (None, None, None)


def test_a_backoff_that_nobody_would_wait_for_is_cut() -> None:
    assert rule_of(retry={"backoff": "99999h99999h"}).retry.backoff_ms == 3_600_000


def test_a_session_without_a_name_has_one_of_its_own() -> None:
    names = {rule_of(name=name, sessionPersistence={"cookie": {}}).session.name for name in "ab"}
    assert len(names) == 1
    assert (
        rule_of(sessionPersistence={"type": "Header", "header": {"name": "h"}}).session.name == "h"
    )


def test_backends_without_a_share_are_left_out() -> None:
    refs = [{"name": "web", "port": 80, "weight": 0}, {"name": "api", "port": 80, "weight": 3}]
    rule = rule_of(backendRefs=refs)
    assert [(item.service[1], item.weight) for item in rule.destinations] == [("api", 3)]
    assert rule_of(backendRefs=refs[:1]).destinations == ()


def test_a_rule_with_a_filter_that_nobody_has_answers_for_nothing() -> None:
    extension = {"group": "a.example", "kind": "Magic", "name": "x"}
    filters = [{"type": "ExtensionRef", "extensionRef": extension}]
    found = routed(GATEWAY, http_route(rules=[{**TO_WEB[0], "filters": filters}]))
    ((_, rule),) = hosts(found)["*"].entries
    assert rule.destinations == ()
    assert condition(of_route(found), "ResolvedRefs") == ("False", "InvalidKind")
    assert condition(of_route(found), "Accepted") == ("True", "Accepted")
