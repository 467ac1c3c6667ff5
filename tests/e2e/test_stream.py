"""Requests judged by the kernel in their packets: nobody else reads them.

nginx and curl, and raw bytes: on one node, between nodes, in both families.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Json, wait_for
from tests.e2e.reading import PORT, Field, get, reading
from tests.proxy.smuggling import CASES, MARKER, Case, as_held

ALLOWED = [{"method": "GET|POST", "path": "/public/.*"}]
NAME = "CiliumNetworkPolicy shop/web ingress[0].toPorts[0]"
places = pytest.mark.parametrize(("where", "family"), [("here", 4), ("there", 6)])
NGINX = """
daemon off; worker_processes 1; pid {place}/pid; error_log {place}/errors;
events {{}}
http {{
    access_log {place}/log;
    client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
    uwsgi_temp_path {place}; scgi_temp_path {place};
    server {{
        listen [::]:{port} ipv6only=off;
        location / {{ client_max_body_size 0; return 200 "$request_method $request_length\\n"; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def field(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    place = tmp_path_factory.mktemp("seen")
    with clusters("held", ("a", "b"), "--routing", "vxlan", "--stream") as cluster:
        made = Field.of(cluster, place)
        made.start()
        yield made


@pytest.fixture(autouse=True)
def policy(field: Field) -> None:
    field.cluster.apply(reading("web", "web", ALLOWED))
    field.here.seen(), field.there.seen()


@places
def test_no_byte_of_a_denied_request_reaches_the_server(
    field: Field, where: str, family: int
) -> None:
    wrong = [text for case in CASES if (text := _wrong(field, where, family, as_held(case)))]
    assert not wrong, "\n".join(wrong)


def _wrong(field: Field, where: str, family: int, case: Case) -> str:
    backend = field.at(where)
    said = field.client.say(backend.addresses[family], case.sent, max(1, len(case.answers)))
    reached = backend.seen()
    if MARKER in reached or not case.is_reached(reached):
        return f"{case.name}: the server got {reached!r}"
    ended = said.closed or said.statuses == case.rest
    if not case.is_answered(said.statuses) or (not case.answers and not ended):
        return f"{case.name}: answered {said.statuses}, closed {said.closed}"
    return ""


def flows(field: Field, node: str, path: str) -> list[Json]:
    return [
        flow
        for flow in field.cluster[node].flows("--last", "50")
        if flow.get("l7", {}).get("http", {}).get("url", "").endswith(path)
    ]


@pytest.mark.parametrize(("where", "node"), [("here", "a"), ("there", "b")])
def test_requests_are_told_of_with_no_proxy_on_the_node(
    field: Field, where: str, node: str
) -> None:
    address, mesh = field.at(where).addresses[4], field.cluster[node]
    for path in ("/public/told", "/denied?told", "/public/./x"):
        field.client.say(address, [get(path)], 1)
    wait_for(lambda: bool(flows(field, node, "/public/./")))
    allowed, denied = flows(field, node, "/public/told")[-1], flows(field, node, "/denied?told")[-1]
    assert (allowed["verdict"], allowed["rule"]) == ("FORWARDED", f"{NAME}.rules.http[0]")
    assert (denied["verdict"], denied["rule"]) == ("DROPPED", f"denied by {NAME}")
    assert denied["l7"]["http"]["code"] == 403 and denied["hook"] == "stream"
    assert denied["source"]["pod_name"] == "client"
    assert allowed["l7"]["http"]["code"] == 200 and int(allowed["l7"]["latency_ns"]) > 0
    (odd,) = flows(field, node, "/public/./")
    assert odd["rule"] == f"denied by {NAME}: its path can be read in more than one way"
    assert not list((mesh.cgroup / "proxy").glob("*/*/cgroup.procs"))
    (row,) = (item for item in mesh.get("rungs") if NAME in item["rule"])
    assert (row["rung"], row["why"]) == (2, "the kernel judges its requests in their packets")


def test_headers_are_looked_at_by_the_rules_of_their_connection(field: Field) -> None:
    """Also by rules that come while it stands."""
    address, whole = field.here.addresses[4], b" HTTP/1.1\r\nHost: web\r\n"
    header = {"path": "/public/.*", "headers": ["X-Role: reader"]}
    field.cluster.apply(reading("web", "web", [{"path": "/b"}, header]))
    (row,) = (item for item in field.cluster["a"].get("rungs") if NAME in item["rule"])
    assert row["rung"] == 2

    def ask(*headers: bytes) -> tuple[int, ...]:
        head = b"GET /public/a" + whole + b"".join(line + b"\r\n" for line in headers) + b"\r\n"
        return field.client.say(address, [head[:70], head[70:]], 1).statuses

    assert ask(b"X-Other: 1", b"x-role:  reader \t") == (200,)
    assert ask(b"X-Role: reader", b"X-Role: reader") == (200,)
    assert ask() == ask(b"X-Role: readers") == ask(b"X-Role: a", b"X-Role: reader") == (403,)
    assert ask(b"X_Role: reader") == (400,)
    assert MARKER not in field.here.seen()


def test_a_rule_that_the_kernel_cannot_hold_names_what_forces_more(field: Field) -> None:
    field.cluster.apply(reading("web", "web", [{"path": "/a?"}]))
    (row,) = (item for item in field.cluster["a"].get("rungs") if NAME in item["rule"])
    assert row["rung"] == 3
    assert "rules.http[0].path is a regular expression: it has '?'" in row["why"]


def test_a_changed_rule_holds_for_connections_that_stand(field: Field) -> None:
    address = field.here.addresses[4]
    speaker = field.client.mesh.spawn("client", "python3", "-c", _STANDING, address, str(PORT))
    assert speaker.stdin and speaker.stdout

    def ask(path: str) -> str:
        print(path, file=speaker.stdin, flush=True)
        return speaker.stdout.readline().strip()  # type: ignore[union-attr]

    assert ask("/public/a") == "200 0"
    field.cluster.apply(reading("web", "web", [{"path": "/b"}]))
    wait_for(lambda: ask("/b").startswith("200"))
    assert ask("/public/a").startswith("403")
    assert ask("/b") == "200 0"
    # without any rule nobody reads it, and then nobody can judge it any more
    field.cluster.delete(reading("web", "web", ALLOWED))
    assert ask("//any/../path") == "200 0"
    field.cluster.apply(reading("web", "web", ALLOWED))
    assert ask("/public/a") == "200 1"


def test_a_connection_from_before_the_policy_is_reset(field: Field) -> None:
    """Nobody has read how it began."""
    address = field.here.addresses[4]
    field.cluster.delete(reading("web", "web", ALLOWED))
    speaker = field.client.mesh.spawn("client", "python3", "-c", _STANDING, address, str(PORT))
    assert speaker.stdin and speaker.stdout
    print("/public/a", file=speaker.stdin, flush=True)
    assert speaker.stdout.readline() == "200 0\n"
    field.cluster.apply(reading("web", "web", ALLOWED))
    wait_for(lambda: field.client.say(address, [get("/denied")], 1).statuses == (403,))
    print("/denied", file=speaker.stdin, flush=True)
    assert speaker.stdout.readline() == "403 1\n"  # on another connection
    assert MARKER not in field.here.seen()


@places
def test_a_websocket_is_not_read_once_the_server_has_agreed(
    field: Field, where: str, family: int
) -> None:
    """What follows looks like a request that is denied; to another server, that said no, it is."""
    backend = field.at(where)
    address = backend.addresses[family]
    for path, answered in (("/public/socket", "101"), ("/public/a", "200")):
        words = (path, address, str(PORT))
        said = field.client.mesh.exec("client", "python3", "-c", _SOCKET, *words)
        assert said.strip() == answered
        reached = backend.seen()
        assert (MARKER in reached and b"\xff" * 9000 in reached) == (answered == "101")
        assert path.encode() in reached


def test_a_body_that_looks_like_an_agreement_is_none(field: Field) -> None:
    """Of an answer that is under way while its client asks for a WebSocket."""
    field.here.mesh.run("forger", "python3", "-c", _FORGER, app="web")
    wait_for(lambda: field.here.mesh.exec("forger", "ss", "-Hltn", f"sport = :{PORT}") != "")
    (found,) = (item for item in field.here.mesh.get("endpoints") if item["name"] == "forger")
    try:
        words = (found["addresses"][0], str(PORT))
        said = field.client.mesh.exec("client", "python3", "-c", _FORGED, *words)
        assert "101 forged" in said and "denied" not in said
    finally:
        field.here.mesh.tulle("delete", "-n", "shop", "forger")


@places
def test_curl_and_nginx(field: Field, where: str, family: int, tmp_path: Path) -> None:
    """Answers in order on one connection, and a body that goes through whole."""
    backend = field.at(where)
    port, name = PORT + 1, f"nginx-{where}-{family}"
    tmp_path.chmod(0o755)
    config, body = tmp_path / "nginx.conf", tmp_path / "body"
    config.write_text(NGINX.format(place=tmp_path, port=port))
    body.write_bytes(b"x" * 3_000_000)
    backend.mesh.run(name, "nginx", "-c", str(config), app="nginx")
    rules = reading("nginx", "nginx", ALLOWED)
    rules["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = str(port)
    field.cluster.apply(rules)
    try:
        wait_for(lambda: backend.mesh.exec(name, "ss", "-Hltn", f"sport = :{port}") != "")
        (found,) = (item for item in backend.mesh.get("endpoints") if item["name"] == name)
        (address,) = (item for item in found["addresses"] if (":" in item) == (family == 6))
        url = f"http://{f'[{address}]' if family == 6 else address}:{port}"
        shown = ("-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code} ")
        ask = ("client", "curl", *shown)
        one = [
            word
            for path in ("/public/a", "/public/b")
            for word in (f"{url}{path}", "--next", *shown)
        ]
        answers = field.client.mesh.exec(*ask, *one, f"{url}/denied")
        assert answers.split() == ["200", "200", "403"]
        sent = ("--data-binary", f"@{body}", f"{url}/public/up")
        assert field.client.mesh.exec(*ask, *sent) == "200 "
        refused = ("--data-binary", f"@{body}", f"{url}/denied/up")
        assert "200" not in field.client.mesh.exec(*ask, *refused)
        log = (tmp_path / "log").read_text()
        assert "denied" not in log and log.count("/public/") == 3
        assert int(log.split("/public/up")[1].split()[1]) == 200
    finally:
        field.cluster.delete(rules)
        backend.mesh.tulle("delete", "-n", "shop", name)


def test_what_follows_in_a_large_packet_is_cut_off_it(field: Field) -> None:
    """A denied request, or a part of a head, behind more than the kernel takes off a packet."""
    address = field.here.addresses[4]
    said = field.client.mesh.exec("client", "python3", "-c", _LARGE, address, str(PORT))
    assert json.loads(said) == [[200, 200], [200, 403]] * 2
    assert MARKER not in field.here.seen()


_STANDING = """
import http.client, sys
one, fresh = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5), 0
for line in sys.stdin:
    for _ in range(2):
        try:
            one.request("GET", line.strip())
            answer = one.getresponse()
            answer.read()
            break
        except OSError:
            one.close()
            fresh += 1
    print(answer.status, fresh, flush=True)
"""
_SOCKET = """
import socket, sys, time
head = f"GET {sys.argv[1]} HTTP/1.1\\r\\nHost: web\\r\\nConnection: Upgrade\\r\\n"
with socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=5) as one:
    one.sendall(head.encode() + b"Upgrade: websocket\\r\\n\\r\\n")
    print(one.recv(4096).split()[1].decode())
    try:
        for data in (b"GET /denied HTTP/1.1\\r\\n", b"\\r\\n\\x81", b"\\xff" * 9000):
            one.sendall(data)
            time.sleep(0.1)
    except OSError:
        print(end="")
"""
_FORGER = f"""
import socket
server = socket.create_server(("", {PORT}))
while True:
    one, _ = server.accept()
    try:
        one.recv(4096)
        one.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 60\\r\\n\\r\\n")
        one.recv(4096)
        one.sendall(b"HTTP/1.1 101 forged\\r\\n".ljust(60))
        one.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
        one.sendall(one.recv(4096))
    except OSError:
        pass
"""
_FORGED = """
import socket, sys, time
head, wish = b" HTTP/1.1\\r\\nHost: web\\r\\n", b"Connection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as one:
    one.sendall(b"GET /public/a" + head + b"\\r\\n")
    time.sleep(0.2)
    one.sendall(b"GET /public/b" + head + wish + b"\\r\\n")
    time.sleep(0.2)
    said = b""
    try:
        one.sendall(b"GET /denied" + head + b"\\r\\n")
        while data := one.recv(4096):
            said += data
    except OSError:
        pass
    print(said.decode("ascii", "replace"))
"""
_LARGE = """
import json, re, socket, sys, time
def post(size, to=b"public"):
    head = b"POST /%b/a HTTP/1.1\\r\\nHost: web\\r\\nContent-Length: %d\\r\\n\\r\\n"
    return head % (to, size) + b"x" * size
def answers(one, count):
    said = b""
    while len(found := re.findall(rb" (\\d{3}) ", said)) < count:
        said += one.recv(65536)
    return [int(status) for status in found]
told = []
for size in (30000, 60000):
    for more in ((post(0)[:30], post(0)[30:]), (post(0, b"denied"),)):
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as one:
            for _ in range(6):  # TCP makes large packets once it trusts its path
                one.sendall(post(500000))
                answers(one, 1)
            for piece in (post(size) + more[0], *more[1:]):
                one.sendall(piece)
                time.sleep(0.3)
            told.append(answers(one, 2))
print(json.dumps(told))
"""
