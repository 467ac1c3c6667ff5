"""Whatever a routing holds that its compiler lets through, Envoy takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.certs import Authority
from tests.proxy.envoy import judged
from tests.proxy.mesh import GATEWAY, HERE, image, services
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    AppProtocol,
    Certificate,
    ClientValidation,
    Cors,
    Destination,
    Filters,
    Front,
    HeaderEdit,
    Mirror,
    PathChange,
    Redirect,
    RequestMatch,
    Retry,
    Rewrite,
    Rule,
    Server,
    SessionPersistence,
    Stream,
    Termination,
    TextMatch,
    UpstreamTls,
    ValueMatch,
    VirtualHost,
)

PARTS = services({"a": 8001, "b": 8002})
TOKEN = st.sampled_from(["X-One", "x-two", "A!#$%&'*+-.^_`|~9", "Host", "Content-Type", "te"])
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
HOST = st.sampled_from(["a.example", "b.a.example", "xn--9ca.example", "a-1.b"])
WILD = st.one_of(HOST, st.sampled_from(["*.example", "*.a.example", "*"]))
SEGMENT = st.text("abz09-._~!$&'()*+,;=:@", min_size=1, max_size=8)
PATH = st.builds(
    lambda parts, end: f"/{'/'.join(parts)}{end}",
    st.lists(SEGMENT, max_size=3),
    st.sampled_from(["", "/"]),
).map(lambda text: text.replace("//", "/"))
REGEX = st.sampled_from([".*", "/v[0-9]+/.*", "(a|b)+", "\\d{1,3}", "[^/]+", "(?i)abc"])
MS = st.one_of(st.none(), st.integers(0, 3_600_000))
WEIGHT = st.integers(0, 1_000_000)


def few(
    strategy: st.SearchStrategy[object], most: int = 3
) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def value_match() -> st.SearchStrategy[ValueMatch]:
    return st.one_of(
        st.builds(ValueMatch, TOKEN, TEXT, st.just(TextMatch.EXACT)),
        st.builds(ValueMatch, TOKEN, REGEX, st.just(TextMatch.REGEX)),
        st.builds(ValueMatch, TOKEN, st.just(""), st.just(TextMatch.PRESENT)),
    )


def match() -> st.SearchStrategy[RequestMatch]:
    more = {
        "method": st.sampled_from(["", "GET", "PATCH"]),
        "headers": few(value_match()),
        "query": few(value_match()),
    }
    kinds = st.sampled_from([TextMatch.EXACT, TextMatch.PREFIX])
    return st.one_of(
        st.builds(RequestMatch, PATH, kinds, **more),  # type: ignore[arg-type]
        st.builds(RequestMatch, REGEX, st.just(TextMatch.REGEX), **more),  # type: ignore[arg-type]
    )


EDIT = st.builds(HeaderEdit, few(st.tuples(TOKEN, TEXT)), few(st.tuples(TOKEN, TEXT)), few(TOKEN))
CHANGE = st.builds(PathChange, st.one_of(PATH, st.just("")), st.booleans())
REDIRECT = st.builds(
    Redirect,
    st.sampled_from(["", "http", "https"]),
    st.one_of(st.just(""), HOST),
    st.one_of(st.none(), CHANGE),
    st.sampled_from([0, 80, 443, 8443, 65535]),
    st.sampled_from([301, 302, 303, 307, 308]),
)
REWRITE = st.builds(Rewrite, st.one_of(st.just(""), HOST), st.one_of(st.none(), CHANGE))
ORIGIN = st.sampled_from(
    ["*", "https://*", "https://*.a.example:8443", "http://a.example:80", "https://a.example"]
)
CORS = st.builds(
    Cors,
    few(ORIGIN),
    few(st.sampled_from(["GET", "PUT", "*"])),
    few(TOKEN),
    few(st.sampled_from(["X-One", "*"])),
    st.booleans(),
    st.integers(1, 2**31 - 1),
)
SESSION = st.builds(
    SessionPersistence,
    st.sampled_from(["Cookie", "Header"]),
    st.sampled_from(["", "session"]),
    st.integers(0, 86400),
)
RETRY = st.builds(Retry, st.integers(1, 9), few(st.integers(400, 599)), st.integers(0, 60_000))
ROUTE = st.builds(
    ObjectRef, st.sampled_from(["HTTPRoute", "GRPCRoute"]), st.just("shop"), st.sampled_from("ab")
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("certs"), "ca").issue("a.example")


def destination(
    certificate: Certificate, *protocols: AppProtocol
) -> st.SearchStrategy[Destination]:
    tls = st.builds(
        UpstreamTls,
        HOST,
        st.just(certificate.chain),
        st.just(False),
        few(WILD),
        few(st.just("spiffe://a/b")),
        st.sampled_from([None, certificate]),
    )
    secured = st.just(None) if AppProtocol.UDP in protocols else st.one_of(st.none(), tls)
    return st.builds(
        Destination,
        st.just("shop").flatmap(lambda space: st.tuples(st.just(space), st.sampled_from("abc"))),
        st.just(80),
        WEIGHT,
        protocol=st.sampled_from(protocols),
        tls=secured,
        broken=st.sampled_from(["", "", "it is not there"]),
    )


def filters(certificate: Certificate, own: bool) -> st.SearchStrategy[Filters]:
    kinds = AppProtocol.HTTP1, AppProtocol.HTTP2, AppProtocol.WEBSOCKET
    mirror = st.builds(
        Mirror,
        destination(certificate, *kinds),
        st.integers(0, 7),
        st.sampled_from([7, 100, 2**31]),
    )
    return st.builds(
        Filters,
        EDIT,
        EDIT,
        st.one_of(st.none(), REDIRECT),
        st.one_of(st.none(), REWRITE),
        few(mirror),  # type: ignore[arg-type]
        st.none() if own else st.one_of(st.none(), CORS),
    )


def rule(certificate: Certificate) -> st.SearchStrategy[Rule]:
    kinds = AppProtocol.HTTP1, AppProtocol.HTTP2, AppProtocol.WEBSOCKET
    backend = st.builds(
        lambda item, own: replace(item, filters=own),
        destination(certificate, *kinds),
        st.one_of(st.none(), filters(certificate, own=True)),
    )
    return st.builds(
        Rule,
        ROUTE,
        st.integers(0, 15),
        st.sampled_from(["", "named"]),
        filters(certificate, own=False),
        few(backend, 4),  # type: ignore[arg-type]
        MS,
        MS,
        st.one_of(st.none(), RETRY),
        st.one_of(st.none(), SESSION),
    )


def host(certificate: Certificate) -> st.SearchStrategy[VirtualHost]:
    entries = st.lists(st.tuples(match(), rule(certificate)), max_size=4).map(tuple)
    return st.builds(VirtualHost, WILD, entries)


def stream(certificate: Certificate, protocol: AppProtocol) -> st.SearchStrategy[Stream]:
    return st.builds(
        Stream,
        few(destination(certificate, protocol)),  # type: ignore[arg-type]
        st.one_of(st.none(), st.just(ObjectRef("TLSRoute", "shop", "%REQ(a)%"))),
        st.integers(0, 3),
        few(WILD),  # type: ignore[arg-type]
    )


def server(certificate: Certificate, kinds: Sequence[str]) -> st.SearchStrategy[Server]:
    client = st.one_of(
        st.none(), st.builds(ClientValidation, st.just(certificate.chain), st.booleans())
    )
    termination = st.builds(Termination, st.just((certificate,)), client)
    made = {
        "HTTP": st.just(None),
        "HTTPS": termination,
        "TLS": st.one_of(st.none(), termination),
        "TCP": st.just(None),
    }
    clients = st.sampled_from([(), (), (HERE,), (HERE, ip_address("::1"))])

    def of(kind: str) -> st.SearchStrategy[Server]:
        is_web = kind in ("HTTP", "HTTPS")
        return st.builds(
            Server,
            st.uuids().map(str),
            st.one_of(st.just(""), WILD.filter(lambda name: name != "*")),
            st.just(kind),
            made[kind],
            few(host(certificate)) if is_web else st.just(()),  # type: ignore[arg-type]
            st.just(()) if is_web else few(stream(certificate, AppProtocol.TCP)),  # type: ignore[arg-type]
            clients,
        )

    return st.sampled_from(kinds).flatmap(of)


def front(certificate: Certificate) -> st.SearchStrategy[Front]:
    kinds = st.sampled_from([("HTTP",), ("HTTPS", "TLS"), ("TCP",), ("HTTP", "TLS", "TCP")])
    tcp = kinds.flatmap(lambda of: st.lists(server(certificate, of), min_size=1, max_size=4))
    datagrams = st.builds(
        Server,
        st.just("udp"),
        protocol=st.just("UDP"),
        streams=few(stream(certificate, AppProtocol.UDP), 1),  # type: ignore[arg-type]
    )
    of_udp = st.lists(datagrams, min_size=1, max_size=1)
    return st.booleans().flatmap(
        lambda udp: st.builds(
            Front,
            st.uuids().map(lambda name: f"gateway/shop/{name}/80"),
            st.just(GATEWAY),
            st.just(("shop", "edge")),
            st.sampled_from([(HERE,), (HERE, ip_address("::1"))]),
            st.just(80),
            st.just("UDP" if udp else "TCP"),
            st.booleans(),
            (of_udp if udp else tcp).map(tuple),
        )
    )


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(data=st.data())
def test_any_routing(data: st.DataObject, certificate: Certificate, tmp_path: Path) -> None:
    fronts = data.draw(st.lists(front(certificate), min_size=1, max_size=6))
    # ports of one machine are no part of the question
    apart = [replace(item, port=20000 + number) for number, item in enumerate(fronts)]
    assert judged(image(PARTS, *apart), tmp_path) == ""


def test_what_envoy_refuses_is_told(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    bad = RequestMatch("(", TextMatch.REGEX)
    hosts = (VirtualHost("*", ((bad, Rule(GATEWAY, 0)),)),)
    edge = Front(
        "gateway/shop/a/80",
        GATEWAY,
        ("shop", "a"),
        (HERE,),
        80,
        servers=(Server("web", hosts=hosts),),
    )
    assert "missing )" in judged(image(PARTS, edge), tmp_path)
