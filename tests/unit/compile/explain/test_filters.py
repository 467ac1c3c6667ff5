"""What a rule does, in words."""

from __future__ import annotations

from dataclasses import replace

from tulle.compile.explain.filters import filters_in_words, match_in_words
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Cors,
    Destination,
    Filters,
    HeaderEdit,
    Mirror,
    PathChange,
    Redirect,
    RequestMatch,
    RequestPolicies,
    Retry,
    Rewrite,
    Rule,
    SessionPersistence,
    TextMatch,
    ValueMatch,
)
from tulle.model.routing_policies import BackendTraffic, RateLimit

ROUTE = ObjectRef("HTTPRoute", "shop", "web")
TO = Destination(("shop", "web"), 80)


def test_matches() -> None:
    assert match_in_words(RequestMatch()) == "path prefix /"
    assert match_in_words(RequestMatch("/a", TextMatch.EXACT, "POST")) == "POST path /a"
    values = (
        ValueMatch("x-a", "1"),
        ValueMatch("x-b", "1|2", TextMatch.REGEX),
        ValueMatch("x-c", kind=TextMatch.PRESENT),
    )
    assert match_in_words(RequestMatch("/a.*", TextMatch.REGEX, "", values, values[:1])) == (
        "path =~ /a.*, header x-a=1, header x-b=~1|2, header x-c, query x-a=1"
    )


def test_filters_of_a_rule_and_of_its_backends() -> None:
    filters = Filters(
        request=HeaderEdit(set=(("x-a", "1"),), add=(("x-b", "2"),), remove=("x-c",)),
        response=HeaderEdit(set=(("server", "tulle"),)),
        rewrite=Rewrite("web.test", PathChange("/v2", True)),
        mirrors=(Mirror(TO), Mirror(TO, 1, 3)),
        cors=Cors(("https://a.test",)),
    )
    own = Destination(("shop", "new"), 81, filters=Filters(request=HeaderEdit(remove=("x-d",))))
    assert filters_in_words(Rule(ROUTE, 0, filters=filters, destinations=(TO, own))) == [
        "sets request header x-a: 1",
        "adds request header x-b: 2",
        "removes request header x-c",
        "sets response header server: tulle",
        "rewrites the host to web.test",
        "rewrites the path prefix to /v2",
        "mirrors to shop/web:80",
        "mirrors 1/3 of the requests to shop/web:80",
        "CORS for https://a.test",
        "to shop/new:81: removes request header x-d",
    ]


def test_times_retries_and_policies() -> None:
    made = Rule(
        ROUTE,
        0,
        filters=Filters(redirect=Redirect(status=308)),
        timeout_ms=500,
        backend_timeout_ms=0,
        retry=Retry(3, (502, 503)),
        session=SessionPersistence(name="cart"),
        policies=RequestPolicies(RateLimit(ObjectRef("RateLimitPolicy", "shop", "slow"), "", ())),
        destinations=(replace(TO, traffic=BackendTraffic(ObjectRef("Balancing", "shop", "ring"))),),
    )
    assert filters_in_words(made) == [
        "redirects with 308",
        "timeout 500 ms",
        "backend timeout none",
        "retries at most 3 × on 502, 503",
        "keeps a client at its backend by cookie cart",
        "under RateLimitPolicy shop/slow",
        "to shop/web:80: under Balancing shop/ring",
    ]
    assert filters_in_words(Rule(ROUTE, 0, retry=Retry())) == [
        "retries at most 1 × on connection errors"
    ]
