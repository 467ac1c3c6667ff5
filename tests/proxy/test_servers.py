"""What a port does with its connections: TLS of every kind, streams, datagrams, upgrades."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from google.protobuf.wrappers_pb2 import StringValue
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server as GrpcServer
from grpclib.server import Stream as GrpcStream

from tests.proxy.backends import Backend, backends
from tests.proxy.certs import Authority
from tests.proxy.client import Answer, ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import HERE, free_port, front, host, image, rule, services, to, web
from tests.unit.compile.proxy.decode import decoded
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import (
    AppProtocol,
    ClientValidation,
    Front,
    RequestMatch,
    Rule,
    Server,
    Stream,
    Termination,
    TextMatch,
    UpstreamTls,
)

TLS_ROUTE = ObjectRef("TLSRoute", "shop", "tls")
REFUSED = (ConnectionError, ssl.SSLError, TimeoutError, http.client.HTTPException)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certs"), "ca")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Backend]]:
    with backends("a", "b") as made:
        yield made


@contextmanager
def running(
    place: Path, servers: dict[str, Backend], *fronts: Front, **more: int
) -> Iterator[None]:
    """`more`: ports of services that are no backends of HTTP."""
    ports = {name: item.port for name, item in servers.items()}
    with serving(image(services({**ports, **more}), *fronts), place):
        yield


def mesh_front(*servers: Server, port: int = 0) -> Front:
    return replace(front(*servers, port=port), name="service/shop/a/80", mesh=True)


def every(name: str) -> Rule:
    return rule(to(name))


def secure(name: str, hostname: str, *certificates: object, **fields: object) -> Server:
    termination = Termination(certificates, fields.pop("client", None))  # type: ignore[arg-type]
    routes = host(("/", every(str(fields.pop("to", "a")))), name=hostname or "*")
    return Server(name, hostname, "HTTPS", termination, (routes,), **fields)  # type: ignore[arg-type]


# --- clients ---


def test_a_server_for_some_clients_is_for_them_alone(
    tmp_path: Path, servers: dict[str, Backend]
) -> None:
    """A consumer's routes (GEP-1294), and the Service's own backends for all others."""
    theirs = web(host(("/", every("a"))), name="away", clients=(ip_address("127.0.0.2"),))
    others = Server("everybody", protocol="TCP", streams=(Stream((to("b"),)),))
    only = front(theirs, others)
    with running(tmp_path, servers, only):
        assert ask(only.port, source="127.0.0.2").backend == "a"
        for source in ("127.0.0.1", "127.0.0.3"):
            assert ask(only.port, source=source).backend == "b"


# --- TLS that ends here ---


def test_https_by_sni(tmp_path: Path, servers: dict[str, Backend], authority: Authority) -> None:
    one, two = authority.issue("one.example"), authority.issue("wide", "DNS:*.two.example")
    edge = front(
        secure("one", "one.example", one, to="a"), secure("two", "*.two.example", two, to="b")
    )
    tls = authority.client()
    with running(tmp_path, servers, edge):
        assert ask(edge.port, host="one.example", tls=tls).backend == "a"
        assert ask(edge.port, host="x.two.example", tls=tls).backend == "b"
        with pytest.raises(REFUSED):
            ask(edge.port, host="other.example", tls=tls)
        with pytest.raises(REFUSED):
            ask(edge.port, host="one.example")
        # GEP-3567: a connection that is there already is no way to another one's hosts
        assert ask(edge.port, host="x.two.example", sni="one.example", tls=tls).status == 421
        assert ask(edge.port, host="one.example", sni="x.two.example", tls=tls).status == 421
        assert ask(edge.port, host="none.example", sni="one.example", tls=tls).status == 404
        assert (
            ask(edge.port, host=f"one.example:{edge.port}", sni="one.example", tls=tls).status
            == 200
        )


def test_several_certificates(
    tmp_path: Path, servers: dict[str, Backend], authority: Authority
) -> None:
    both = authority.issue("one.example"), authority.issue("two.example")
    edge = front(secure("all", "", *both))
    tls = authority.client()
    with running(tmp_path, servers, edge):
        assert ask(edge.port, host="one.example", tls=tls).status == 200
        assert ask(edge.port, host="two.example", tls=tls).status == 200


@pytest.mark.parametrize(
    ("alpn", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")]
)
def test_alpn(
    tmp_path: Path, servers: dict[str, Backend], authority: Authority, alpn: list[str], chosen: str
) -> None:
    edge = front(secure("one", "one.example", authority.issue("one.example")))
    with (
        running(tmp_path, servers, edge),
        socket.create_connection(("127.0.0.1", edge.port)) as plain,
        authority.client(alpn=alpn).wrap_socket(plain, server_hostname="one.example") as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() == chosen


def test_clients_show_certificates(
    tmp_path: Path, servers: dict[str, Backend], authority: Authority
) -> None:
    certificate, client = authority.issue("one.example"), authority.issue("client.example")
    rogue = Authority(tmp_path, "rogue").issue("client.example")
    strict, lax = (
        front(secure("one", "", certificate, client=ClientValidation(authority.pem, optional)))
        for optional in (False, True)
    )
    with running(tmp_path, servers, strict, lax):
        for edge, known, unknown, none in ((strict, 200, 0, 0), (lax, 200, 200, 200)):
            for shown, expected in ((client, known), (rogue, unknown), (None, none)):
                tls = authority.client(shown)
                if expected:
                    assert ask(edge.port, host="one.example", tls=tls).status == expected
                else:
                    with pytest.raises(REFUSED):
                        ask(edge.port, host="one.example", tls=tls)


# --- TLS to backends ---


@pytest.mark.parametrize(
    ("certificate", "tls", "status"),
    [
        ("DNS:db.example", {}, 200),
        ("DNS:*.example", {}, 200),
        ("DNS:other.example", {}, 503),
        ("DNS:other.example", {"names": ("other.example",)}, 200),
        ("DNS:db.example", {"names": ("other.example",)}, 503),
        ("URI:spiffe://mesh/db", {"uris": ("spiffe://mesh/db",)}, 200),
        ("URI:spiffe://mesh/db", {"uris": ("spiffe://mesh/other",)}, 503),
        ("URI:spiffe://mesh/db", {"uris": ("spiffe://mesh/x",), "names": ("y",)}, 503),
        ("DNS:db.example", {"system_authorities": True, "authorities": ""}, 503),
        ("rogue", {}, 503),
    ],
)
def test_backends_certificates(
    tmp_path: Path, authority: Authority, certificate: str, tls: dict[str, object], status: int
) -> None:
    signer = Authority(tmp_path, "rogue") if certificate == "rogue" else authority
    names = "DNS:db.example" if certificate == "rogue" else certificate
    shown = authority.server(signer.issue("backend", names))
    policy = UpstreamTls(**{"sni": "db.example", "authorities": authority.pem, **tls})  # type: ignore[arg-type]
    edge = front(web(host(("/", rule(to("db", tls=policy))))))
    with backends("db", tls=shown) as made, running(tmp_path, made, edge):
        assert ask(edge.port).status == status


def test_a_backend_that_speaks_no_tls(tmp_path: Path, authority: Authority) -> None:
    edge = front(web(host(("/", rule(to("a", tls=UpstreamTls("db.example", authority.pem)))))))
    with backends("a") as made, running(tmp_path, made, edge):
        assert ask(edge.port).status == 503
        assert made["a"].seen == []


@pytest.mark.parametrize(("shown", "status"), [(True, 200), (False, 503)])
def test_the_proxys_own_certificate(
    tmp_path: Path, authority: Authority, shown: bool, status: int
) -> None:
    server = authority.server(authority.issue("db.example"), clients=True)
    client = authority.issue("gateway.example") if shown else None
    policy = UpstreamTls("db.example", authority.pem, client=client)
    edge = front(web(host(("/", rule(to("db", tls=policy))))))
    with backends("db", tls=server) as made, running(tmp_path, made, edge):
        assert ask(edge.port).status == status


# --- streams ---


def stream(*names: str, to_: tuple[object, ...], index: int = 0) -> Stream:
    return Stream(to_, TLS_ROUTE, index, names)  # type: ignore[arg-type]


def tcp(name: str, **fields: object) -> object:
    return replace(to(name), protocol=AppProtocol.TCP, **fields)  # type: ignore[arg-type]


def test_tls_passes_by_name(tmp_path: Path, authority: Authority) -> None:
    shown = authority.server(authority.issue("all", "DNS:one.example", "DNS:x.wide.example"))
    edge = front(
        Server(
            "wide",
            "*.wide.example",
            "TLS",
            streams=(stream("x.wide.example", to_=(tcp("x"),)),),
        ),
        Server("one", "one.example", "TLS", streams=(stream(to_=(tcp("one"),), index=1),)),
        Server("any", "", "TLS", streams=(stream("other.example", to_=(tcp("one"),), index=2),)),
    )
    tls = authority.client()
    with backends("x", "one", tls=shown) as made, running(tmp_path, made, edge):
        assert ask(edge.port, host="x.wide.example", tls=tls).backend == "x"
        assert ask(edge.port, host="one.example", tls=tls).backend == "one"
        for nobodys in ("y.wide.example", "two.example"):
            with pytest.raises(REFUSED):
                ask(edge.port, host="one.example", sni=nobodys, tls=tls)


def test_tls_ends_and_the_rest_passes(
    tmp_path: Path, servers: dict[str, Backend], authority: Authority
) -> None:
    termination = Termination((authority.issue("one.example"),))
    edge = front(
        Server("one", "one.example", "TLS", termination, streams=(stream(to_=(tcp("a"),)),))
    )
    with running(tmp_path, servers, edge):
        assert ask(edge.port, host="one.example", tls=authority.client()).backend == "a"


def test_tcp_by_weight(tmp_path: Path, servers: dict[str, Backend]) -> None:
    route = stream(to_=(tcp("a", weight=1), tcp("b", weight=3), tcp("c", weight=0)))
    edge = front(Server("tcp", protocol="TCP", streams=(route,)))
    with running(tmp_path, servers, edge):
        found = [ask(edge.port).backend for _ in range(200)]
    assert set(found) == {"a", "b"}
    assert 120 <= found.count("b") <= 180


@pytest.mark.parametrize("destinations", [(), ("gone",), ("zero",)])
def test_tcp_to_nowhere_is_closed(
    tmp_path: Path, servers: dict[str, Backend], destinations: tuple[str, ...]
) -> None:
    known = {"gone": tcp("a", broken="there is no such service"), "zero": tcp("a", weight=0)}
    routes = (stream(to_=tuple(known[name] for name in destinations)),) if destinations else ()
    edge = front(Server("tcp", protocol="TCP", streams=routes))
    with running(tmp_path, servers, edge), pytest.raises(REFUSED):
        ask(edge.port)


def test_a_broken_share_of_connections_is_closed(
    tmp_path: Path, servers: dict[str, Backend]
) -> None:
    route = stream(to_=(tcp("a"), tcp("b", broken="there is no such service")))
    edge = front(Server("tcp", protocol="TCP", streams=(route,)))
    closed = 0
    with running(tmp_path, servers, edge):
        for _ in range(60):
            try:
                assert ask(edge.port).backend == "a"
            except REFUSED:
                closed += 1
    assert 15 <= closed <= 45


@contextmanager
def udp_echo(name: str) -> Iterator[int]:
    """Answers each datagram with its name and the datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def run() -> None:
            while True:
                data, peer = server.recvfrom(2048)
                if data == b"end":
                    return
                server.sendto(name.encode() + b" " + data, peer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", server.getsockname())
            thread.join(5)


def said(port: int, text: str, wait_s: float = 2.0) -> str:
    """What comes back for a datagram from a socket of its own, "" if nothing does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(wait_s)
        client.sendto(text.encode(), ("127.0.0.1", port))
        try:
            return client.recv(2048).decode()
        except TimeoutError:
            return ""


def udp(name: str, weight: int = 1, **fields: object) -> object:
    return replace(to(name), protocol=AppProtocol.UDP, weight=weight, **fields)  # type: ignore[arg-type]


def test_udp(tmp_path: Path) -> None:
    with udp_echo("a") as port:
        route = stream(to_=(udp("a"),))
        edge = front(Server("udp", protocol="UDP", streams=(route,)), protocol="UDP")
        with serving(image(services({"a": port}, "UDP"), edge), tmp_path):
            assert [said(edge.port, text) for text in ("x", "y")] == ["a x", "a y"]


def test_udp_by_weight(tmp_path: Path) -> None:
    """Each client's datagrams go one way; those for what is broken are lost."""
    lost = udp("c", 2, broken="there is no such service")
    with udp_echo("a") as one, udp_echo("b") as other:
        route = stream(to_=(udp("a", 2), udp("b", 6), lost))
        edge = front(Server("udp", protocol="UDP", streams=(route,)), protocol="UDP")
        with serving(image(services({"a": one, "b": other}, "UDP"), edge), tmp_path):
            found = Counter(said(edge.port, "x", 0.1) for _ in range(200))
    assert set(found) == {"a x", "b x", ""}
    assert 95 <= found["b x"] <= 145
    assert 20 <= found[""] <= 60


def test_udp_to_nowhere_is_dropped(tmp_path: Path, servers: dict[str, Backend]) -> None:
    route = stream(to_=(udp("a", broken="there is no such service"),))
    edge = front(Server("udp", protocol="UDP", streams=(route,)), protocol="UDP")
    with running(tmp_path, servers, edge):
        assert said(edge.port, "x", 0.5) == ""


# --- what is more than HTTP/1.1 ---


class Echo:
    async def say(self, stream: GrpcStream[StringValue, StringValue]) -> None:
        message = await stream.recv_message()
        assert message is not None
        await stream.send_message(StringValue(value=f"echo {message.value}"))

    def __mapping__(self) -> dict[str, Handler]:
        kind = Handler(self.say, Cardinality.UNARY_UNARY, StringValue, StringValue)
        return {"/shop.Echo/Say": kind, "/shop.Echo/Shout": kind}


async def _call(port: int, path: str, hostname: str = "a.example") -> str:
    channel = Channel("127.0.0.1", port)
    channel._authority = hostname  # of grpclib, which has no other way
    try:
        method = UnaryUnaryMethod(channel, path, StringValue, StringValue)
        return (await method(StringValue(value="x"), timeout=5)).value
    finally:
        channel.close()


def test_grpc_and_h2c(tmp_path: Path) -> None:
    """[GRPCRoute, HTTPRouteBackendProtocolH2C]"""
    grpc = ObjectRef("GRPCRoute", "shop", "echo")
    say = RequestMatch("/shop.Echo/Say", TextMatch.EXACT)
    edge = front(
        web(
            host(
                (say, rule(to("echo"), origin=grpc)), ("/none", rule(origin=grpc)), name="a.example"
            ),
            host(("/", rule(to("echo", protocol=AppProtocol.HTTP2))), name="b.example"),
        )
    )

    async def scenario() -> None:
        server = GrpcServer([Echo()])
        await server.start("127.0.0.1", port)
        try:
            assert await _call(edge.port, "/shop.Echo/Say") == "echo x"
            assert await _call(edge.port, "/shop.Echo/Shout", "b.example") == "echo x"
            for path, status in (
                ("/shop.Echo/Shout", Status.UNIMPLEMENTED),
                ("/none", Status.UNAVAILABLE),
            ):
                with pytest.raises(GRPCError) as failure:
                    await _call(edge.port, path)
                assert failure.value.status is status
        finally:
            server.close()
            await server.wait_closed()

    port = free_port()
    with running(tmp_path, {}, edge, echo=port):
        asyncio.run(scenario())


def test_websocket(tmp_path: Path) -> None:
    """[HTTPRouteBackendProtocolWebSocket]"""
    edge = front(web(host(("/", rule(to("ws", protocol=AppProtocol.WEBSOCKET))))))

    async def echo(request: aiohttp_web.Request) -> aiohttp_web.WebSocketResponse:
        made = aiohttp_web.WebSocketResponse()
        await made.prepare(request)
        async for message in made:
            await made.send_str(f"echo {message.data}")
        return made

    async def scenario() -> None:
        app = aiohttp_web.Application()
        app.router.add_get("/", echo)
        runner = aiohttp_web.AppRunner(app)
        await runner.setup()
        await aiohttp_web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"http://127.0.0.1:{edge.port}/") as client,
            ):
                await client.send_str("x")
                assert await client.receive_str(timeout=5) == "echo x"
        finally:
            await runner.cleanup()

    port = free_port()
    with running(tmp_path, {}, edge, ws=port):
        asyncio.run(scenario())


# --- isolation of a cleartext port's servers ---


def test_hostnames(tmp_path: Path, servers: dict[str, Backend]) -> None:
    edge = front(
        Server(
            "any",
            "",
            hosts=(host(("/any", every("a"))), host(("/x", every("a")), name="a.b.example")),
        ),
        Server("wide", "*.example", hosts=(host(("/wide", every("a")), name="*.example"),)),
        Server("longer", "*.b.example", hosts=(host(("/b", every("b")), name="*.b.example"),)),
        Server("exact", "a.b.example", hosts=(host(("/exact", every("b")), name="a.b.example"),)),
    )
    expected = {
        ("none.test", "/any"): 200,
        ("none.test", "/wide"): 404,
        ("c.example", "/wide"): 200,
        ("c.example", "/any"): 404,
        ("C.EXAMPLE", "/wide"): 200,
        (f"c.example:{edge.port}", "/wide"): 200,
        ("c.b.example", "/b"): 200,
        ("c.b.example", "/wide"): 404,
        ("d.c.b.example", "/b"): 200,
        ("a.b.example", "/exact"): 200,
        ("a.b.example", "/b"): 404,
        ("a.b.example", "/x"): 404,
        ("example", "/any"): 200,
    }
    with running(tmp_path, servers, edge):
        found = {key: ask(edge.port, key[1], key[0]).status for key in expected}
    assert found == expected


def test_clients_of_their_own(
    tmp_path: Path, servers: dict[str, Backend], authority: Authority
) -> None:
    """Consumer routes (GEP-1294): who has a server of his own has that alone."""
    one, two, three = (ip_address(f"127.0.0.{last}") for last in (11, 12, 13))
    every_name = Stream((tcp("tls"),))  # type: ignore[arg-type]
    inner = mesh_front(
        Server("one", hosts=(host(("/one", every("a"))),), clients=(one,)),
        Server(
            "others",
            protocol="TLS",
            streams=(stream("x.wide.example", to_=(tcp("tls"),)),),
            clients=(two, three),
        ),
        Server("everybody", protocol="TCP", streams=(every_name,)),
    )
    shown = authority.server(authority.issue("both", "DNS:x.wide.example", "DNS:y.example"))
    tls = authority.client()
    with backends("tls", tls=shown) as made, running(tmp_path, {**servers, **made}, inner):

        def asked(last: int, path: str = "/", name: str = "") -> int:
            try:
                secured = tls if name else None
                source = f"127.0.0.{last}"
                return ask(inner.port, path, name, tls=secured, source=source).status
            except REFUSED:
                return 0

        assert [asked(11, "/one"), asked(11)] == [200, 404]
        assert [asked(12, name="x.wide.example"), asked(13, name="x.wide.example")] == [200, 200]
        assert [asked(12, name="y.example"), asked(12)] == [0, 0]
        assert [asked(14, name="y.example"), asked(14, name="x.wide.example")] == [200, 200]


def test_a_new_client_changes_no_chain() -> None:
    """Connections go on, as those of a chain that has changed would not."""
    parts = services({"a": 8001})
    made = [
        decoded(
            image(parts, mesh_front(Server("one", hosts=(), clients=clients), port=80)),
            "listener",
            "service/shop/a/80",
        )
        for clients in ((HERE,), (HERE, ip_address("127.0.0.2")))
    ]
    assert made[0].pop("filter_chain_matcher") != made[1].pop("filter_chain_matcher")
    assert made[0] == made[1]


def test_fronts_at_once(tmp_path: Path, servers: dict[str, Backend]) -> None:
    """Of the mesh and of gateways, with several addresses."""
    edge = front(web(host(("/", every("a")))))
    inner = replace(front(web(host(("/", every("b"))))), name="service/shop/b/80", mesh=True)
    with ExitStack() as stack:
        stack.enter_context(running(tmp_path, servers, edge, inner))
        assert ask(edge.port).backend == "a"
        assert ask(inner.port).backend == "b"


def test_what_the_proxy_adds(tmp_path: Path, servers: dict[str, Backend]) -> None:
    """At the edge nothing that clients say of themselves counts; in the mesh nothing is added."""
    edge = front(web(host(("/", every("a")))))
    inner = replace(front(web(host(("/", every("a"))))), name="service/shop/a/80", mesh=True)
    lies = {
        "X-Forwarded-Proto": "https",
        "X-Envoy-Upstream-Rq-Timeout-Ms": "1",
        "X-Envoy-Retry-On": "5xx",
        "X-Request-Id": "7",
    }

    def told(answer: Answer) -> dict[str, str]:
        headers: dict[str, str] = answer.seen["headers"]
        return headers

    with running(tmp_path, servers, edge, inner):
        at_edge, within = (told(ask(f.port, headers=lies)) for f in (edge, inner))
        assert at_edge["x-forwarded-proto"] == "http"
        assert "x-forwarded-for" in at_edge
        assert within["x-forwarded-proto"] == "https"
        assert "x-forwarded-for" not in within
        for headers in (at_edge, within):
            assert not {name for name in headers if "retry" in name or "timeout" in name}
            assert headers["x-request-id"] == "7"
        assert ask(edge.port).headers["server"].startswith("BaseHTTP")
        assert not [name for name in ask(edge.port).headers if name.startswith("x-envoy")]


@pytest.mark.parametrize("says", ["255.255.255.255", "192.0.2.1, 255.255.255.255"])
@pytest.mark.parametrize("mesh", [False, True])
def test_no_client_commands_the_proxy(
    tmp_path: Path, servers: dict[str, Backend], mesh: bool, says: str
) -> None:
    """Not even one that is said to come from the only address that Envoy thinks well of."""
    made = replace(front(web(host(("/", every("a"))))), mesh=mesh)
    commands = {"X-Envoy-Retry-On": "5xx", "X-Envoy-Max-Retries": "3"}
    with running(tmp_path, servers, made):
        servers["a"].seen.clear()
        answer = ask(made.port, "/?status=503", headers={"X-Forwarded-For": says, **commands})
        assert answer.status == 503
    (seen,) = servers["a"].seen
    assert not [name for name in dict(seen["headers"]) if name.startswith("x-envoy-in")]
