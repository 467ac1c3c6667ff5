"""Rows of what HTTPRoute's filters make of requests and answers."""

from __future__ import annotations

from json import loads
from time import sleep
from uuid import uuid4

from tests.e2e.conformance.ground import Ground
from tests.e2e.conformance.table import Check, Expect, Row, ask, http, says, slug
from tests.e2e.mesh import wait_for

LATER_S = 0.2  # when more of what nobody waits for would have come
ONE = "[{name: one, port: 80}]"
ORIGIN = "https://www.shop.test"


def _redirect(feature: str, what: str, status: int, expected: str, port: int = 80) -> Row:
    return http(
        feature,
        "a redirect has this status or this part of the location",
        f"""
        - matches: [{{path: {{value: /old}}}}]
          filters: [{{type: RequestRedirect, requestRedirect: {{{what}}}}}]
        """,
        ask("/old/page?a=b", says(status=status, has={"location": expected}), port=port),
    )


def _own(feature: str, path: str) -> str:
    return f"http://{slug(feature)}\\.test{path}"


REDIRECTS = (
    *(
        _redirect(
            f"HTTPRoute{status}RedirectStatusCode",
            f"statusCode: {status}, scheme: https",
            status,
            f"https://httproute{status}redirectstatuscode\\.test/old/page\\?a=b",
        )
        for status in (303, 307, 308)
    ),
    _redirect(
        "HTTPRouteSchemeRedirect",
        "scheme: https",
        302,
        "https://httprouteschemeredirect\\.test/old/page\\?a=b",
    ),
    _redirect(
        "HTTPRoutePortRedirect",
        "port: 8083",
        302,
        _own("HTTPRoutePortRedirect", ":8083/old/page\\?a=b"),
    ),
    http(
        "HTTPRoutePathRedirect",
        "a redirect replaces the path, or its prefix",
        """
        - matches: [{path: {value: /prefix}}]
          filters:
            - type: RequestRedirect
              requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
        - matches: [{path: {value: /full}}]
          filters:
            - type: RequestRedirect
              requestRedirect:
                statusCode: 301
                path: {type: ReplaceFullPath, replaceFullPath: /all}
        - matches: [{path: {value: /gone}}]
          filters:
            - type: RequestRedirect
              requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
        """,
        ask(
            "/prefix/a?x=1",
            says(status=302, has={"location": _own("HTTPRoutePathRedirect", "/new/a\\?x=1")}),
        ),
        ask("/full/a", says(status=301, has={"location": _own("HTTPRoutePathRedirect", "/all")})),
        ask("/gone/a", says(status=302, has={"location": _own("HTTPRoutePathRedirect", "/a")})),
        ask("/gone", says(status=302, has={"location": _own("HTTPRoutePathRedirect", "/")})),
    ),
)

REWRITES = (
    http(
        "HTTPRouteHostRewrite",
        "the backend sees another host",
        f"""
        - filters: [{{type: URLRewrite, urlRewrite: {{hostname: inner.test}}}}]
          backendRefs: {ONE}
        """,
        ask("/x", says(backend="one", host="inner.test", path="/x")),
    ),
    http(
        "HTTPRoutePathRewrite",
        "the backend sees another path, or another prefix of it",
        f"""
        - matches: [{{path: {{value: /prefix/one}}}}]
          filters:
            - type: URLRewrite
              urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /one}}}}
          backendRefs: {ONE}
        - matches: [{{path: {{value: /full}}}}]
          filters:
            - type: URLRewrite
              urlRewrite: {{path: {{type: ReplaceFullPath, replaceFullPath: /all}}}}
          backendRefs: {ONE}
        - matches: [{{path: {{value: /strip}}}}]
          filters:
            - type: URLRewrite
              urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}
          backendRefs: {ONE}
        """,
        ask("/prefix/one/two?x=1", says(path="/one/two?x=1")),
        ask("/prefix/one", says(path="/one")),
        ask("/full/one/two?x=1", says(path="/all?x=1")),
        ask("/strip/one", says(path="/one")),
        ask("/strip", says(path="/")),
    ),
)

HEADERS = (
    http(
        "HTTPRouteResponseHeaderModification",
        "headers of the answer are set, added and removed",
        f"""
        - filters:
            - type: ResponseHeaderModifier
              responseHeaderModifier:
                set: [{{name: X-Set, value: new}}]
                add: [{{name: X-Add, value: more}}]
                remove: [X-Remove]
          backendRefs: {ONE}
        """,
        ask("/", says(has={"x-set": "new", "x-add": "more"}, has_not=("x-remove",))),
    ),
    http(
        "HTTPRouteBackendRequestHeaderModification",
        "headers are changed for one backend of several",
        """
        - backendRefs:
            - name: one
              port: 80
              filters:
                - type: RequestHeaderModifier
                  requestHeaderModifier: {set: [{name: X-Set, value: for-one}]}
        - matches: [{path: {value: /two}}]
          backendRefs: [{name: two, port: 80}]
        """,
        ask("/", says(backend="one", got={"x-set": "for-one"})),
        ask("/two", says(backend="two", not_got=("x-set",))),
    ),
    http(
        "HTTPRouteBackendURLRewrite",
        "the path and host are rewritten for one backend",
        """
        - matches: [{path: {value: /in}}]
          backendRefs:
            - name: one
              port: 80
              filters:
                - type: URLRewrite
                  urlRewrite:
                    hostname: inner.test
                    path: {type: ReplacePrefixMatch, replacePrefixMatch: /out}
        """,
        ask("/in/x", says(backend="one", path="/out/x", host="inner.test")),
    ),
    http(
        "HTTPRouteBackendRequestRedirect",
        "what would go to one backend is redirected",
        """
        - backendRefs:
            - name: one
              port: 80
              filters:
                - {type: RequestRedirect, requestRedirect: {hostname: new.test}}
        """,
        ask("/x", says(status=302, has={"location": "http://new.test/x"})),
    ),
    http(
        "HTTPRouteCORS",
        "preflights are answered, and answers bear what the browser needs",
        f"""
        - filters:
            - type: CORS
              cors:
                allowOrigins: ["{ORIGIN}", "https://*.wild.test"]
                allowMethods: [GET, PUT]
                allowHeaders: [X-Own]
                exposeHeaders: [X-Set]
                allowCredentials: true
                maxAge: 600
          backendRefs: {ONE}
        """,
        ask(
            "/",
            says(
                has={
                    "access-control-allow-origin": ORIGIN,
                    "access-control-allow-methods": "GET, ?PUT",
                    "access-control-allow-headers": "(?i)x-own",
                    "access-control-allow-credentials": "true",
                    "access-control-max-age": "600",
                }
            ),
            method="OPTIONS",
            headers={"origin": ORIGIN, "access-control-request-method": "PUT"},
        ),
        ask(
            "/",
            says(
                backend="one",
                has={
                    "access-control-allow-origin": "https://a.wild.test",
                    "access-control-expose-headers": "(?i)x-set",
                },
            ),
            headers={"origin": "https://a.wild.test"},
        ),
        ask(
            "/",
            says(backend="one", has_not=("access-control-allow-origin",)),
            headers={"origin": "https://other.test"},
        ),
    ),
)


def _seen(backend: str, name: str) -> Check:
    """How many requests with that `x-id` a backend has seen, asked past all mirrors."""
    host, path = f"httprouterequestmirror-count-{backend}.test", f"/seen/{name}"
    return ask(path, host=host)


def _count(ground: Ground, backend: str, name: str) -> int:
    ((answer,),) = ground.ask(_seen(backend, name))
    return int(loads(answer["body"])["seen"])


def _mirrored(feature: str, mirrors: dict[str, tuple[int, int]], requests: int = 10) -> object:
    """A check: after so many requests each mirror has seen a number within its bounds."""

    def check(ground: Ground) -> None:
        name = uuid4().hex
        asked = ask(
            "/", Expect(backend="one"), host=f"{slug(feature)}.test", headers={"x-id": name}
        )
        ((*answers,),) = ground.ask(Check({**asked.ask, "count": requests}, asked.expect))
        assert all(answer["status"] == 200 for answer in answers), answers
        assert _count(ground, "one", name) == requests
        for backend, (low, _) in mirrors.items():  # which nobody waits for
            wait_for(lambda: _count(ground, backend, name) >= low)  # noqa: B023
        sleep(LATER_S)
        for backend, (_, high) in mirrors.items():
            assert _count(ground, backend, name) <= high, backend

    return check


def _mirror(feature: str, filters: str, mirrors: dict[str, tuple[int, int]], count: int) -> Row:
    made = http(
        feature,
        "another backend gets a copy, whose answer nobody waits for",
        f"""
        - filters: {filters}
          backendRefs: {ONE}
        """,
        ask("/", says(backend="one")),
    )
    return Row(
        made.feature,
        made.says,
        made.objects,
        made.checks,
        also=_mirrored(feature, mirrors, count),  # type: ignore[arg-type]
    )


COUNTERS = tuple(
    http(
        "HTTPRouteRequestMirror",
        "what a backend has seen can be asked",
        f"""
        - {{backendRefs: [{{name: {backend}, port: 80}}]}}
        """,
        ask("/seen/nothing", says(body='{"seen": 0}')),
        case=f"count-{backend}",
    )
    for backend in ("one", "two", "three")
)
_TO_TWO = "{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}"
_TO_THREE = "{type: RequestMirror, requestMirror: {backendRef: {name: three, port: 80}}}"
_PART = (
    "{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}, percent: 20}},"
    "{type: RequestMirror, requestMirror: "
    "{backendRef: {name: three, port: 80}, fraction: {numerator: 1, denominator: 2}}}"
)
MIRRORS = (
    *COUNTERS,
    _mirror("HTTPRouteRequestMirror", f"[{_TO_TWO}]", {"two": (10, 10), "three": (0, 0)}, 10),
    _mirror(
        "HTTPRouteRequestMultipleMirrors",
        f"[{_TO_TWO}, {_TO_THREE}]",
        {"two": (10, 10), "three": (10, 10)},
        10,
    ),
    _mirror(
        "HTTPRouteRequestPercentageMirror",
        f"[{_PART}]",
        {"two": (60, 140), "three": (190, 310)},
        500,
    ),
)

ROWS: tuple[Row, ...] = REDIRECTS + REWRITES + HEADERS + MIRRORS
