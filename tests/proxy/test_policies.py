"""Layer 7 rules of policies, enforced by the real Envoy, against the reference model."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest

from tests.proxy.http2 import ALLOWED, HTTP2_CASES, PREFACE
from tests.proxy.policies import enforcing, rule_set_of
from tests.proxy.recorder import Recorder, recording
from tests.proxy.say import say
from tests.proxy.smuggling import CASES, MARKER, Case
from tests.unit.compile.explain.request_rows import ROWS, request, ruled
from tulle.compile.explain.cilium_requests import settled

SMUGGLING = ruled("{method: GET|POST, path: '/public/.*'}")


@pytest.fixture(scope="module")
def backend() -> Iterator[Recorder]:
    with recording() as server:
        yield server


@pytest.fixture(scope="module")
def ports(
    backend: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, int]]:
    """Of every list of rules that a row has."""
    texts = [*dict.fromkeys(ruled(http) for http, _, _ in ROWS), SMUGGLING]
    rule_sets = {text: rule_set_of(text) for text in texts}
    place = tmp_path_factory.mktemp("envoy")
    with enforcing(list(rule_sets.values()), backend.port, place) as at:
        yield {text: at[rules] for text, rules in rule_sets.items()}


@pytest.mark.parametrize(("http", "text", "place"), ROWS)
def test_envoy_judges_as_explain_does(
    ports: Mapping[str, int], backend: Recorder, http: str, text: str, place: str
) -> None:
    asked = request(text)
    headers = "".join(f"{name}: {value}\r\n" for name, value in asked.headers)
    raw = f"{asked.method} {asked.path} HTTP/1.1\r\nHost: {asked.host}\r\n{headers}\r\n".encode()
    backend.taken()
    said = say(("127.0.0.1", ports[ruled(http)]), [raw], 1)
    reached = backend.taken()
    if place in ("", "400"):
        if "transfer-encoding" not in text:
            assert said.statuses == ((403,) if place == "" else (400,))
        assert reached == b""
        if said.statuses == (403,) and asked.method != "HEAD":
            assert b"denied by policy: not allowed by CiliumNetworkPolicy shop/p0 " in said.data
        return
    as_judged = settled(asked)
    assert said.statuses == (200,) and as_judged
    assert reached.startswith(f"{asked.method} {as_judged.path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_byte_of_a_denied_request_reaches_the_backend(
    ports: Mapping[str, int], backend: Recorder, case: Case
) -> None:
    backend.taken()
    said = say(("127.0.0.1", ports[SMUGGLING]), case.sent, len(case.answers))
    reached = backend.taken()
    assert MARKER not in reached
    assert case.is_answered(said.statuses), said.statuses
    assert case.is_reached(reached), reached


TLS = "{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], "
NAMED = TLS + "serverNames: [a.test, '*.b.test', '**.c.test']}]}]}"
BOTH = (
    TLS
    + "serverNames: [a.test]}, {ports: [{port: '443', protocol: TCP}], "
    + ("rules: {http: [{path: /public}]}}]}]}")
)
EDITS = ruled(
    "{path: /add, headerMatches: [{name: X-A, value: '1', mismatch: ADD}]}, "
    "{path: /delete, headerMatches: [{name: X-A, value: '1', mismatch: DELETE}]}, "
    "{path: /replace, headerMatches: [{name: X-A, value: '100%', mismatch: REPLACE}]}, "
    "{path: /log, headerMatches: [{name: X-A, value: '1', mismatch: LOG}]}, "
    "{path: /two, headerMatches: [{name: X-A, value: '1', mismatch: ADD}, "
    "{name: X-B, value: '2', mismatch: DELETE}, {name: X-C}]}"
)
NOTHING = ruled("{path: (}")
AUDITED = "audited"


@pytest.fixture(scope="module")
def other_ports(
    backend: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, int]]:
    rule_sets = {text: rule_set_of(text) for text in (NAMED, BOTH, EDITS, NOTHING)}
    rule_sets["union"] = rule_set_of(ruled("{path: /a}"), ruled("{path: /b, method: POST}"))
    rule_sets[AUDITED] = rule_set_of(ruled("{path: /a}"), audit=True)
    place = tmp_path_factory.mktemp("envoy")
    with enforcing(list(rule_sets.values()), backend.port, place) as at:
        yield {text: at[rules] for text, rules in rule_sets.items()}


def answer(port: int, line: str, *headers: str) -> int:
    raw = "\r\n".join([f"{line} HTTP/1.1", "Host: web", "Content-Length: 0", *headers, "", ""])
    (status,) = say(("127.0.0.1", port), [raw.encode()], 1).statuses
    return status


@pytest.mark.parametrize(
    ("path", "sent", "reached"),
    [
        ("/add", (), ["1"]),
        ("/add", ("2",), ["2", "1"]),
        ("/add", ("1",), ["1"]),
        ("/delete", (), []),
        ("/delete", ("1",), ["1"]),
        ("/delete", ("2",), []),
        ("/delete", ("1", "2"), []),
        ("/replace", (), ["100%"]),
        ("/replace", ("2", "3"), ["100%"]),
        ("/log", ("2",), ["2"]),
        ("/log", (), []),
    ],
)
def test_headers_that_mismatch_are_mended(
    other_ports: Mapping[str, int],
    backend: Recorder,
    path: str,
    sent: tuple[str, ...],
    reached: list[str],
) -> None:
    backend.taken()
    assert answer(other_ports[EDITS], f"GET {path}", *(f"X-A: {text}" for text in sent)) == 200
    lines = backend.taken().decode().lower().split("\r\n")
    values = [line.partition(": ")[2] for line in lines if line.startswith("x-a: ")]
    assert values == reached


def test_several_headers_mismatch_each_by_itself(
    other_ports: Mapping[str, int], backend: Recorder
) -> None:
    for sent, reached in (
        (("X-C: 3", "X-B: 2"), {"x-a: 1", "x-b: 2", "x-c: 3"}),
        (("X-C: 3", "X-A: 1", "X-B: 3"), {"x-a: 1", "x-c: 3"}),
        (("X-C: 3", "X-A: 0"), {"x-a: 0", "x-a: 1", "x-c: 3"}),
    ):
        backend.taken()
        assert answer(other_ports[EDITS], "GET /two", *sent) == 200
        lines = backend.taken().decode().lower().split("\r\n")
        assert {line for line in lines if line.startswith(("x-a", "x-b", "x-c"))} == reached
    assert answer(other_ports[EDITS], "GET /two", "X-B: 2") == 403


def test_no_client_commands_the_proxy(other_ports: Mapping[str, int], backend: Recorder) -> None:
    backend.taken()
    lie = "X-Forwarded-For: 255.255.255.255"  # the only address that Envoy thinks well of
    assert answer(other_ports["union"], "GET /a", lie, "X-Envoy-Retry-On: 5xx") == 200
    reached = backend.taken().lower()
    assert b"x-forwarded-for: 255.255.255.255\r\n" in reached
    assert b"x-envoy" not in reached


def test_rules_of_two_policies_add_up(other_ports: Mapping[str, int]) -> None:
    port = other_ports["union"]
    assert [answer(port, line) for line in ("GET /a", "POST /b", "GET /b")] == [200, 200, 403]
    said = say(("127.0.0.1", port), [b"GET /c HTTP/1.1\r\nHost: web\r\n\r\n"], 1)
    assert said.data.endswith(
        b"denied by policy: not allowed by CiliumNetworkPolicy shop/p0 ingress[0].toPorts[0], "
        b"CiliumNetworkPolicy shop/p1 ingress[0].toPorts[0] (rule set %d)\n" % port
    )


def test_where_no_rule_can_be_honoured_nothing_is_allowed(
    other_ports: Mapping[str, int], backend: Recorder
) -> None:
    backend.taken()
    assert answer(other_ports[NOTHING], "GET /") == 403
    assert backend.taken() == b""


def hello(port: int, name: str | None) -> bool:
    """Whether the backend gets what a TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return say(("127.0.0.1", port), [outgoing.read()], 1, patience_s=0.5).closed is False


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("a.test", True),
        ("A.TEST", True),
        ("b.test", False),
        ("x.b.test", True),
        ("x.y.b.test", False),
        ("x.c.test", True),
        ("x.y.c.test", True),
        ("c.test", False),
        ("xa.test", False),
        ("a.test.evil.test", False),
        (None, False),
    ],
)
def test_tls_passes_by_its_servers_name(
    other_ports: Mapping[str, int], backend: Recorder, name: str | None, passes: bool
) -> None:
    backend.taken()
    assert hello(other_ports[NAMED], name) is passes
    assert bool(backend.taken()) is passes


def test_what_is_no_tls_is_closed(other_ports: Mapping[str, int], backend: Recorder) -> None:
    backend.taken()
    said = say(("127.0.0.1", other_ports[NAMED]), [b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"], 1)
    assert (said.data, said.closed, backend.taken()) == (b"", True, b"")


def test_rules_for_tls_and_for_http_add_up(
    other_ports: Mapping[str, int], backend: Recorder
) -> None:
    port = other_ports[BOTH]
    assert hello(port, "a.test") and not hello(port, "b.test")
    assert [answer(port, line) for line in ("GET /public", "GET /private")] == [200, 403]


def test_in_audit_mode_everything_passes(other_ports: Mapping[str, int], backend: Recorder) -> None:
    port = other_ports[AUDITED]
    assert [answer(port, line) for line in ("GET /a", "GET /b", "GET /a%2fb")] == [200, 200, 200]
    for raw in (b"\x00\x01 no HTTP", b"HELO\r\n"):
        backend.taken()
        assert not say(("127.0.0.1", port), [raw], 1, patience_s=1.0).closed
        assert backend.taken() == raw
    assert hello(port, "z.test")


def test_http2_is_judged_as_well(other_ports: Mapping[str, int]) -> None:
    for path, status in (("/a", 200), ("/c", 403)):
        url = f"http://127.0.0.1:{other_ports['union']}{path}"
        command = ["curl", "-sS", "-m", "10", "--http2-prior-knowledge", "-o", "-", "-w"]
        done = subprocess.run(
            [*command, "%{http_version} %{http_code}", url], capture_output=True, text=True
        )
        # The recorder knows no HTTP/2: who is allowed gets 503, and not a 403.
        wanted = "2 403" if status == 403 else "2 50"
        assert wanted in done.stdout, (done.stdout, done.stderr)


def test_grpc_is_told_of_a_denial_in_its_own_words(other_ports: Mapping[str, int]) -> None:
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    url = f"http://127.0.0.1:{other_ports['union']}/shop.Cart/Get"
    command = ["curl", "-sS", "-m", "10", "--http2-prior-knowledge", "-i", "-X", "POST", *headers]
    done = subprocess.run([*command, url], capture_output=True, text=True)
    assert "grpc-status: 7" in done.stdout
    assert "grpc-message: denied by policy" in done.stdout


def test_a_websocket_is_a_connection_once_the_backend_agrees(
    ports: Mapping[str, int], backend: Recorder
) -> None:
    backend.taken()
    head = (
        b"GET /public/socket HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n\r\n"
    )
    said = say(("127.0.0.1", ports[SMUGGLING]), [head, b"\x81\x02hi"], 1)
    assert said.statuses == (101,) and not said.closed
    assert backend.taken().endswith(b"\r\n\r\n\x81\x02hi")


def test_http2_reaches_the_backend_if_it_is_allowed(
    ports: Mapping[str, int], backend: Recorder
) -> None:
    backend.taken()
    say(("127.0.0.1", ports[SMUGGLING]), [ALLOWED], 1, patience_s=0.5)
    assert backend.taken().startswith(PREFACE)


@pytest.mark.parametrize("name", HTTP2_CASES)
def test_no_byte_of_a_denied_http2_request_reaches_the_backend(
    ports: Mapping[str, int], backend: Recorder, name: str
) -> None:
    backend.taken()
    said = say(("127.0.0.1", ports[SMUGGLING]), [HTTP2_CASES[name]], 1, patience_s=1.5)
    assert said.data or said.closed  # it was read
    assert backend.taken() == b""
