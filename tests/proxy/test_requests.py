"""Every feature of a route's rule, a row each: real requests through the real Envoy.

Names in brackets are those of the Gateway API's published list of features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.proxy.backends import Backend, backends
from tests.proxy.client import Answer, ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import front, host, image, rule, services, to, web
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    Cors,
    Destination,
    Filters,
    HeaderEdit,
    PathChange,
    Redirect,
    RequestMatch,
    Retry,
    Rewrite,
    Rule,
    TextMatch,
    ValueMatch,
)

Check = Callable[[Answer], object]
Entry = tuple[RequestMatch | str, Rule]
EXACT, PREFIX, REGEX = TextMatch.EXACT, TextMatch.PREFIX, TextMatch.REGEX
GRPC = ObjectRef("GRPCRoute", "shop", "grpc")


@dataclass(frozen=True)
class Ask:
    """A request, and what must be true of its answer: a status, a backend, or more."""

    path: str
    expected: int | str | Check
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    entries: list[Entry]
    asks: list[Ask]


def get(path: str, expected: int | str | Check, **headers: str) -> Ask:
    return Ask(path, expected, headers={k.replace("_", "-"): v for k, v in headers.items()})


def path(value: str, kind: TextMatch = PREFIX) -> RequestMatch:
    return RequestMatch(value, kind)


def header(name: str, value: str, kind: TextMatch = EXACT) -> RequestMatch:
    return RequestMatch(headers=(ValueMatch(name, value, kind),))


def query(name: str, value: str, kind: TextMatch = EXACT) -> RequestMatch:
    return RequestMatch(query=(ValueMatch(name, value, kind),))


def filtered(*destinations: Destination, **filters: object) -> Rule:
    return rule(*destinations or (to("a"),), filters=Filters(**filters))  # type: ignore[arg-type]


def moved(**fields: object) -> Rule:
    return rule(filters=Filters(redirect=Redirect(**fields)))  # type: ignore[arg-type]


def location(text: str, status: int = 302) -> Check:
    return lambda answer: (answer.status, answer.headers["location"]) == (status, text)


def saw(path: str) -> Check:
    return lambda answer: answer.seen["path"] == path


def saw_header(name: str, value: str | None) -> Check:
    return lambda answer: answer.seen["headers"].get(name) == value


def rewritten(prefix: str, new: str) -> list[Entry]:
    return [(prefix, filtered(rewrite=Rewrite(path=PathChange(new, True))))]


EDIT = HeaderEdit(set=(("X-Set", "new"),), add=(("X-Add", "more"),), remove=("X-Drop",))
PERCENT = HeaderEdit(set=(("X-Set", "100% %REQ(a)%"),))
CORS = Cors(
    ("https://www.foo.example", "https://*.bar.example", "http://port.example:8080"),
    ("GET", "PUT"),
    ("X-One", "X-Two"),
    ("X-Three",),
    max_age_s=1800,
)


def preflight(origin: str, check: Check, method: str = "PUT", headers: str = "") -> Ask:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return Ask("/", check, "OPTIONS", asked)


def allows(**expected: str | None) -> Check:
    """Headers after `access-control-`; None: there is none such."""
    return lambda answer: (
        answer.status in (200, 204)
        and all(
            answer.headers.get(f"access-control-{name.replace('_', '-')}") == value
            for name, value in expected.items()
        )
    )


ROWS: dict[str, Row] = {
    "exact path": Row(
        [(path("/one", EXACT), rule(to("a"))), (path("/one/two", EXACT), rule(to("b")))],
        [
            get("/one", "a"),
            get("/one?q", "a"),
            get("/one/two", "b"),
            get("/one/", 404),
            get("/", 404),
        ],
    ),
    "prefix of path elements": Row(
        [("/one/two", rule(to("b"))), ("/one/", rule(to("a")))],
        [
            get("/one", "a"),
            get("/one/", "a"),
            get("/one/x", "a"),
            get("/one?q", "a"),
            get("/onex", 404),
            get("/one/two", "b"),
            get("/one/two/", "b"),
            get("/one/twox", "a"),
        ],
    ),
    "path by regular expression": Row(
        [(path("/v[0-9]+/.*", REGEX), rule(to("a")))],
        [get("/v1/x", "a"), get("/v12/?x=/v", "a"), get("/vx/x", 404), get("/x/v1/", 404)],
    ),
    "method [HTTPRouteMethodMatching]": Row(
        [
            (RequestMatch(method="POST"), rule(to("a"))),
            (RequestMatch(method="GET"), rule(to("b"))),
        ],
        [Ask("/", "a", "POST"), Ask("/", "b"), Ask("/", 404, "DELETE")],
    ),
    "headers": Row(
        [
            (
                RequestMatch(headers=(ValueMatch("Version", "two"), ValueMatch("Color", "blue"))),
                rule(to("b")),
            ),
            (header("VERSION", "one"), rule(to("a"))),
            (header("color", "gr.*", REGEX), rule(to("c"))),
            (header("any", "", TextMatch.PRESENT), rule(to("b"))),
        ],
        [
            get("/", "a", version="one"),
            get("/", 404, version="ONE"),
            get("/", "b", version="two", color="blue"),
            get("/", 404, version="two"),
            get("/", "c", Color="green"),
            get("/", 404, Color="dark green"),
            get("/", "b", any="x"),
        ],
    ),
    "query parameters [HTTPRouteQueryParamMatching]": Row(
        [
            (query("animal", "whale"), rule(to("a"))),
            (query("animal", "d.*", REGEX), rule(to("b"))),
            (query("any", "", TextMatch.PRESENT), rule(to("c"))),
        ],
        [
            get("/?animal=whale", "a"),
            get("/?x=1&animal=whale", "a"),
            get("/?animal=dolphin", "b"),
            get("/?animal=cat", 404),
            get("/?Animal=whale", 404),
            get("/?any", "c"),
        ],
    ),
    "the first match is taken": Row(
        [("/", rule(to("a"))), ("/b", rule(to("b")))],
        [get("/b", "a")],
    ),
    "request headers": Row(
        [("/", filtered(request=EDIT))],
        [
            get("/", saw_header("x-set", "new")),
            get("/", saw_header("x-set", "new"), X_Set="old"),
            get("/", saw_header("x-add", "some,more"), X_Add="some"),
            get("/", saw_header("x-drop", None), X_Drop="yes"),
        ],
    ),
    "a header is literal": Row(
        [("/", filtered(request=PERCENT, response=PERCENT))],
        [
            get("/", saw_header("x-set", "100% %REQ(a)%"), a="b"),
            get("/", lambda answer: answer.headers["x-set"] == "100% %REQ(a)%", a="b"),
        ],
    ),
    "Host is a header, too": Row(
        [("/", filtered(request=HeaderEdit(set=(("Host", "new.example"),), remove=("HOST",))))],
        [get("/", saw_header("host", "new.example"))],
    ),
    "response headers [HTTPRouteResponseHeaderModification]": Row(
        [("/", filtered(response=EDIT))],
        [
            get("/", lambda answer: answer.headers["x-set"] == "new"),
            get("/", lambda answer: answer.headers["x-add"] == "more"),
            get("/", lambda answer: "x-drop" not in answer.headers),
        ],
    ),
    "headers of a destination [HTTPRouteBackendRequestHeaderModification]": Row(
        [("/", rule(to("a", filters=Filters(request=EDIT, response=EDIT))))],
        [
            get("/", saw_header("x-set", "new")),
            get("/", lambda answer: answer.headers["x-set"] == "new"),
            get("/", saw_header("x-drop", None), X_Drop="yes"),
        ],
    ),
    "redirect: host and status [HTTPRoute303RedirectStatusCode and its like]": Row(
        [
            (f"/{status}", moved(hostname="new.example", port=80, status=status))
            for status in (301, 302, 303, 307, 308)
        ],
        [
            get(f"/{status}/x?q=1", location(f"http://new.example/{status}/x?q=1", status))
            for status in (301, 302, 303, 307, 308)
        ],
    ),
    "redirect: scheme [HTTPRouteSchemeRedirect]": Row(
        [("/", moved(scheme="https", hostname="new.example"))],
        [get("/x", location("https://new.example/x"))],
    ),
    "redirect: port [HTTPRoutePortRedirect]": Row(
        [("/", moved(hostname="new.example", port=8443, scheme="https"))],
        [get("/x", location("https://new.example:8443/x"))],
    ),
    "redirect: path [HTTPRoutePathRedirect]": Row(
        [
            ("/full", moved(hostname="n.example", port=80, path=PathChange("/new", False))),
            ("/old", moved(hostname="n.example", port=80, path=PathChange("/new/", True))),
            ("/top", moved(hostname="n.example", port=80, path=PathChange("/", True))),
        ],
        [
            get("/full/x?q=1", location("http://n.example/new?q=1")),
            get("/old/x?q=1", location("http://n.example/new/x?q=1")),
            get("/old", location("http://n.example/new")),
            get("/top/y", location("http://n.example/y")),
            get("/top", location("http://n.example/")),
        ],
    ),
    "rewrite: host [HTTPRouteHostRewrite]": Row(
        [("/", filtered(rewrite=Rewrite("new.example")))],
        [get("/x", saw_header("host", "new.example"))],
    ),
    "rewrite: host of a destination": Row(
        [("/", rule(to("a", filters=Filters(rewrite=Rewrite("new.example")))))],
        [get("/x", saw_header("host", "new.example"))],
    ),
    "rewrite: whole path [HTTPRoutePathRewrite]": Row(
        [("/", filtered(rewrite=Rewrite(path=PathChange("/new\\1", False))))],
        [get("/x/y?q=1", saw("/new\\1?q=1")), get("/", saw("/new\\1"))],
    ),
    "rewrite: prefix [HTTPRoutePathRewrite]": Row(
        rewritten("/one", "/xyz/"),
        [
            get("/one/x?q=1", saw("/xyz/x?q=1")),
            get("/one", saw("/xyz")),
            get("/one/", saw("/xyz/")),
            get("/one?q", saw("/xyz?q")),
            get("/one", lambda answer: "x-envoy-original-path" not in answer.seen["headers"]),
        ],
    ),
    "rewrite: prefix by nothing": Row(
        rewritten("/one.two", ""),
        [
            get("/one.two/x?q=1", saw("/x?q=1")),
            get("/one.two", saw("/")),
            get("/one.two/", saw("/")),
            get("/one.two?q", saw("/?q")),
        ],
    ),
    "rewrite: prefix / by more": Row(
        rewritten("/", "/xyz"),
        [get("/x?q=1", saw("/xyz/x?q=1")), get("/", saw("/xyz/"))],
    ),
    "rewrite: prefix / by /": Row(rewritten("/", "/"), [get("/x", saw("/x"))]),
    "cross-origin [HTTPRouteCORS]": Row(
        [("/", filtered(cors=CORS))],
        [
            preflight(
                "https://www.foo.example",
                allows(
                    allow_origin="https://www.foo.example",
                    allow_methods="GET, PUT",
                    allow_headers="X-One, X-Two",
                    max_age="1800",
                    allow_credentials=None,
                ),
            ),
            preflight("https://a.b.bar.example", allows(allow_origin="https://a.b.bar.example")),
            preflight("https://bar.example", allows(allow_origin=None)),
            preflight("https://evil.example/.bar.example", allows(allow_origin=None)),
            preflight("https://wwwxfoo.example", allows(allow_origin=None, allow_methods=None)),
            preflight("http://port.example:8080", allows(allow_origin="http://port.example:8080")),
            preflight("http://port.example", allows(allow_origin=None)),
            get("/", "a"),
            get("/", allows(allow_origin=None, expose_headers=None), Origin="https://x.example"),
            get(
                "/",
                allows(allow_origin="https://www.foo.example", expose_headers="X-Three"),
                Origin="https://www.foo.example",
            ),
        ],
    ),
    "cross-origin: everybody": Row(
        [("/", filtered(cors=Cors(("*",), ("*",), ("*",), ("*",))))],
        [
            preflight(
                "https://x.example",
                lambda a: a.headers["access-control-allow-origin"] in ("*", "https://x.example"),
                "PUT",
                "X-One",
            ),
            preflight(
                "https://x.example",
                lambda a: a.headers["access-control-allow-methods"] in ("*", "PUT"),
                "PUT",
                "X-One",
            ),
            preflight(
                "https://x.example",
                lambda a: a.headers["access-control-allow-headers"] in ("*", "X-One"),
                "PUT",
                "X-One",
            ),
            preflight("https://x.example", allows(max_age="5")),
        ],
    ),
    "cross-origin: everybody with credentials": Row(
        [("/", filtered(cors=Cors(("*",), ("*",), ("*",), ("*",), allow_credentials=True)))],
        [
            preflight(
                "https://x.example",
                allows(
                    allow_origin="https://x.example",
                    allow_credentials="true",
                    allow_methods="PUT",
                    allow_headers="X-One,X-Two",
                ),
                "PUT",
                "X-One,X-Two",
            ),
            preflight("https://x.example", lambda a: not a.headers["access-control-allow-headers"]),
            get("/", allows(expose_headers=None), Origin="https://x.example"),
        ],
    ),
    "timeout of a request [HTTPRouteRequestTimeout]": Row(
        [("/", rule(to("a"), timeout_ms=300))], [get("/?wait=0", 200), get("/?wait=3", 504)]
    ),
    "timeout of a backend [HTTPRouteBackendTimeout]": Row(
        [("/", rule(to("a"), backend_timeout_ms=300))], [get("/", 200), get("/?wait=3", 504)]
    ),
    "no timeout unless asked": Row(
        [("/0", rule(to("a"), timeout_ms=0)), ("/", rule(to("a")))],
        [get("/?wait=1", 200), get("/0?wait=1", 200)],
    ),
    "nowhere to go": Row(
        [
            ("/none", rule()),
            ("/zero", rule(to("a", 0))),
            ("/broken", rule(to("a", broken="there is no such service"))),
            ("/grpc", rule(origin=GRPC)),
            ("/empty", rule(to("empty"))),
        ],
        [
            get("/none", 500),
            get("/zero", 500),
            get("/broken", 500),
            get(
                "/grpc",
                lambda answer: answer.headers["grpc-status"] == "14",
                content_type="application/grpc",
            ),
            get("/empty", 503),
        ],
    ),
    "a retry hides a failure [HTTPRouteRetry]": Row(
        [
            ("/codes", rule(to("retry-1"), retry=Retry(2, (503,), 10))),
            ("/other", rule(to("retry-2"), retry=Retry(2, (502,), 10))),
            ("/few", rule(to("retry-3"), retry=Retry(1, (503,), 10))),
            ("/unasked", rule(to("retry-4"))),
        ],
        [
            get("/codes?status=503&times=2", 200),
            get("/other?status=503&times=1", 503),
            get("/few?status=503&times=2", 503),
            get("/unasked?status=503&times=1", 503),
        ],
    ),
    "a try takes too long [HTTPRouteRetryBackendTimeout]": Row(
        [("/", rule(to("slow"), backend_timeout_ms=300, retry=Retry(1, (504,), 10)))],
        [get("/?wait=3", 504)],
    ),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Backend]]:
    with backends("a", "b", "c", "slow", *(f"retry-{n}" for n in range(1, 5))) as made:
        yield made


@pytest.fixture(scope="module")
def port(servers: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a gateway with a hostname for each row."""
    parts = services({name: backend.port for name, backend in servers.items()})
    hosts = [host(*row.entries, name=hostname(name)) for name, row in ROWS.items()]
    edge = front(web(*hosts))
    with serving(image(parts, edge), tmp_path_factory.mktemp("envoy")):
        yield edge.port


def hostname(name: str) -> str:
    return f"r{list(ROWS).index(name)}.example"


@pytest.mark.parametrize("name", ROWS)
def test_feature(name: str, port: int) -> None:
    for item in ROWS[name].asks:
        answer = ask(port, item.path, hostname(name), item.method, item.headers)
        told = f"{item}: {answer}"
        if isinstance(item.expected, int):
            assert answer.status == item.expected, told
        elif isinstance(item.expected, str):
            assert (answer.status, answer.backend) == (200, item.expected), told
        else:
            assert item.expected(answer), told
