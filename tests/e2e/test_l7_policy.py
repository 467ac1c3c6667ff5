"""Layer 7 rules of policies in a mesh: who is judged, who is told, and what changes cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Json, service, wait_for
from tests.e2e.reading import PORT, Client, Field, get, reading
from tests.proxy import recorder
from tests.proxy.smuggling import MARKER

GET_A = [{"method": "GET", "path": "/a"}]
WEB = reading("web", "web", GET_A)
NAME = "CiliumNetworkPolicy shop/web ingress[0].toPorts[0]"
places = pytest.mark.parametrize("where", ["here", "there"])


@pytest.fixture(scope="module", params=["vxlan", "native"])
def field(
    request: pytest.FixtureRequest, clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Field]:
    place = tmp_path_factory.mktemp("seen")
    with clusters(f"l{request.param[0]}", ("a", "b"), "--routing", request.param) as cluster:
        made = Field.of(cluster, place)
        made.start()
        cluster["a"].run("stranger", "sleep", "inf")
        yield made


@pytest.fixture(autouse=True)
def policy(field: Field) -> Iterator[None]:
    """The one policy at the start of each test, and none at its end."""
    field.cluster.apply(WEB)
    yield
    field.cluster.delete(WEB)
    field.here.seen(), field.there.seen()


def statuses(field: Field, where: str, *paths: str, family: int = 4) -> tuple[int, ...]:
    address = field.at(where).addresses[family]
    return tuple(
        status for path in paths for status in field.client.say(address, [get(path)], 1).statuses
    )


@places
@pytest.mark.parametrize("family", [4, 6])
def test_a_request_that_no_rule_allows_is_denied(field: Field, where: str, family: int) -> None:
    backend = field.at(where)
    said = field.client.say(backend.addresses[family], [get("/denied")], 1)
    assert said.statuses == (403,)
    assert f"denied by policy: not allowed by {NAME} (rule set ".encode() in said.data
    assert statuses(field, where, "/a", "/denied/a", family=family) == (200, 403)
    reached = backend.seen()
    assert reached.startswith(b"GET /a HTTP/1.1\r\n") and MARKER not in reached


@places
def test_who_is_not_meant_by_a_rule_gets_no_connection(field: Field, where: str) -> None:
    url = f"http://{field.at(where).addresses[4]}:{PORT}/a"
    assert field.cluster["a"].get_http("stranger", url, timeout_s=0.5) == ""
    assert field.at(where).seen() == b""


@places
def test_the_backend_sees_the_clients_own_address(field: Field, where: str) -> None:
    (client,) = (e for e in field.cluster["a"].get("endpoints") if e["name"] == "client")
    backend = field.at(where)
    assert statuses(field, where, "/a") == (200,)
    # the proxy keeps its connection to the backend for a while
    peers = backend.mesh.exec(backend.name, "ss", "-Htn", f"sport = :{PORT}")
    assert client["addresses"][0] in peers


def flows_of(field: Field, node: str, path: str) -> list[Json]:
    return [
        flow
        for flow in field.cluster[node].flows("--last", "50")
        if flow.get("l7", {}).get("http", {}).get("url", "").endswith(path)
    ]


@pytest.mark.parametrize(("where", "node"), [("here", "a"), ("there", "b")])
def test_flows_name_the_rule(field: Field, where: str, node: str) -> None:
    assert statuses(field, where, "/a?flow", "/denied?flow") == (403, 403)
    assert statuses(field, where, "/a") == (200,)
    wait_for(lambda: bool(flows_of(field, node, "/denied?flow") and flows_of(field, node, "/a")))
    denied = flows_of(field, node, "/denied?flow")[-1]
    assert (denied["verdict"], denied["rule"]) == ("DROPPED", f"denied by {NAME}")
    allowed = flows_of(field, node, "/a")[-1]
    assert (allowed["verdict"], allowed["rule"]) == ("FORWARDED", f"{NAME}.rules.http[0]")


@places
def test_a_changed_rule_holds_for_a_connection_that_stands(field: Field, where: str) -> None:
    """The next request on it is judged by what the rule says now."""
    address = field.at(where).addresses[4]
    speaker = field.client.mesh.spawn("client", "python3", "-c", _STANDING, address, str(PORT))
    assert speaker.stdin and speaker.stdout

    def ask(path: str) -> int:
        print(path, file=speaker.stdin, flush=True)
        return int(speaker.stdout.readline())  # type: ignore[union-attr]

    assert [ask("/a"), ask("/b")] == [200, 403]
    field.cluster.apply(reading("web", "web", [{"path": "/b"}]))
    wait_for(lambda: ask("/b") == 200)
    assert ask("/a") == 403


@places
def test_rules_at_both_ends_must_allow_a_request(field: Field, where: str) -> None:
    out = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "out", "namespace": "shop"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "client"}},
            "egress": [
                {
                    "toPorts": [
                        {
                            "ports": [{"port": str(PORT), "protocol": "TCP"}],
                            "rules": {"http": [{"path": "/(a|b)"}]},
                        }
                    ]
                }
            ],
        },
    }
    field.cluster.apply(out, reading("web", "web", [{"path": "/(a|c)"}]))
    try:
        assert statuses(field, where, "/a", "/b", "/c", "/d") == (200, 403, 403, 403)
        said = field.client.say(field.at(where).addresses[4], [get("/c")], 1)
        assert b"CiliumNetworkPolicy shop/out egress[0].toPorts[0]" in said.data
        said = field.client.say(field.at(where).addresses[4], [get("/b")], 1)
        assert NAME.encode() in said.data
    finally:
        field.cluster.delete(out)


@places
def test_who_may_send_everything_may_send_everything(field: Field, where: str) -> None:
    whole = reading("whole", "web", GET_A)
    del whole["spec"]["ingress"][0]["toPorts"]
    field.cluster.apply(whole)
    try:
        assert statuses(field, where, "/denied") == (200,)
    finally:
        field.cluster.delete(whole)
    assert statuses(field, where, "/denied") == (403,)
    field.at(where).seen()


@places
def test_in_audit_mode_requests_pass_and_are_told_of(field: Field, where: str) -> None:
    field.cluster.apply(reading("web", "web", GET_A, annotations={"tulle.io/audit": "true"}))
    node = "a" if where == "here" else "b"
    assert statuses(field, where, "/a", "/audited") == (200, 200)
    wait_for(lambda: bool(flows_of(field, node, "/audited")))
    flow = flows_of(field, node, "/audited")[-1]
    assert (flow["verdict"], flow["audit_rule"]["rule"]) == ("AUDIT", NAME)


def test_a_bad_rule_is_refused_alone(field: Field) -> None:
    mesh = field.cluster["a"]
    bad = reading("web", "web", [{"path": "("}, {"path": "/b"}])
    for node in ("a", "b"):
        field.cluster[node].tulle("apply", "-f", "-", stdin=json.dumps(bad), check=False)
    (refused,) = mesh.status()["refused"]
    assert refused["object"] == "CiliumNetworkPolicy shop/web"
    assert "spec.ingress[0].toPorts[0].rules.http[0].path is no regular expression" in str(refused)
    assert statuses(field, "here", "/a", "/b") == (403, 200)


@places
@pytest.mark.parametrize("family", [4, 6])
def test_who_floods_shuts_nobody_out(field: Field, where: str, family: int) -> None:
    """With its queue full the kernel keeps no SYN, and knows a client by the cookie it brings."""
    mesh = field.cluster["a" if where == "here" else "b"]
    always = "net.ipv4.tcp_syncookies"  # of both families
    mesh.host("sysctl", "-qw", f"{always}=2")
    try:
        assert statuses(field, where, "/a", "/denied", family=family) == (200, 403)
    finally:
        mesh.host("sysctl", "-qw", f"{always}=1")


@places
def test_without_the_proxy_nothing_passes(field: Field, where: str) -> None:
    """Killed, it is back; what is denied is denied at every moment."""
    mesh = field.cluster["a" if where == "here" else "b"]
    found = (mesh.cgroup / "proxy").glob("*/*/cgroup.procs")
    pids = [pid for path in found for pid in path.read_text().split()]
    assert pids
    for pid in pids:
        mesh.host("kill", "-9", pid)
    for _ in range(20):
        said = field.client.say(field.at(where).addresses[4], [get("/denied")], 1)
        assert said.statuses in ((), (403,))
    wait_for(lambda: statuses(field, where, "/a") == (200,))
    assert MARKER not in field.at(where).seen()


_STANDING = """
import http.client, sys
one = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
one.connect()
own = one.sock
for line in sys.stdin:
    one.request("GET", line.strip())
    answer = one.getresponse()
    answer.read()
    assert one.sock is own
    print(answer.status, flush=True)
"""


@places
def test_two_clients_never_share_a_connection_to_the_backend(field: Field, where: str) -> None:
    """The proxy keeps connections for a while: each is of one client, and of one rule set."""
    other = Client(field.cluster["a"], "client-2")
    other.start()
    backend = field.at(where)
    own = {item["name"]: item["addresses"][0] for item in field.cluster["a"].get("endpoints")}
    try:
        for client in (field.client, other):
            assert client.say(backend.addresses[4], [get("/a")], 1).statuses == (200,)
        peers = backend.mesh.exec(backend.name, "ss", "-Htn", f"sport = :{PORT}")
        assert own["client"] in peers and own["client-2"] in peers
    finally:
        field.cluster["a"].tulle("delete", "-n", "shop", "client-2")


def test_routes_and_policies_judge_one_after_the_other(field: Field) -> None:
    """A route of the mesh sends the request on in the client's name, and the policy reads it."""
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
                    "filters": [
                        {
                            "type": "URLRewrite",
                            "urlRewrite": {
                                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
                            },
                        }
                    ],
                    "backendRefs": [{"name": "web", "port": 80}],
                }
            ],
        },
    }
    web = service("web", "web")
    field.cluster.apply(web, route)
    try:
        (found,) = (item for item in field.cluster["a"].get("services") if item["name"] == "web")
        for address in found["cluster_ips"]:
            host = f"[{address}]" if ":" in address else address
            codes = [
                field.cluster["a"].exec(
                    *("client", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}"),
                    f"http://{host}{path}",
                )
                for path in ("/v1/a", "/v1/b", "/a")
            ]
            assert codes == ["200", "403", "404"]
    finally:
        field.cluster.delete(route, web)


OUT = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "out", "namespace": "shop"},
    "spec": {
        "endpointSelector": {"matchLabels": {"app": "client"}},
        "egress": [
            {
                "toEntities": ["world"],
                "toPorts": [
                    {
                        "ports": [{"port": "8081", "protocol": "TCP"}],
                        "rules": {"http": [{"path": "/a"}]},
                    },
                    {
                        "ports": [{"port": "8443", "protocol": "TCP"}],
                        "serverNames": ["a.test"],
                    },
                ],
            },
            {"toEntities": ["cluster"]},
        ],
    },
}


def test_what_leaves_the_mesh_is_read_as_well(field: Field, tmp_path: Path) -> None:
    """HTTP by its requests, and TLS by the name that its client sends."""
    cluster, seen = field.cluster, {}
    for port in (8081, 8443):
        seen[port] = tmp_path / str(port)
        script = (sys.executable, str(recorder.__file__), str(port), str(seen[port]))
        cluster.spawn_outside(*script)
        wait_for(lambda port=port: cluster.outside("ss", "-Hltn", f"sport = :{port}") != "")
    address = json.loads(cluster.outside("ip", "-j", "-4", "address", "show", "scope", "global"))
    outside = address[0]["addr_info"][0]["local"]
    cluster.apply(OUT)
    try:
        for path, code in (("/a", "200"), ("/denied", "403")):
            words = ("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}")
            assert field.client.mesh.exec("client", *words, f"http://{outside}:8081{path}") == code
        for name in ("a.test", "denied.test"):
            resolve = f"{name}:8443:{outside}"
            field.client.mesh.tulle(
                *("exec", "-n", "shop", "client", "--", "curl", "-sk", "-m", "1"),
                *("--resolve", resolve, f"https://{name}:8443/"),
                check=False,
            )
        assert MARKER not in seen[8081].read_bytes() + seen[8443].read_bytes()
        assert b"a.test" in seen[8443].read_bytes()
    finally:
        cluster.delete(OUT)


@places
def test_changes_of_a_rule_fail_no_request(field: Field, where: str) -> None:
    """On one connection, and each on one of its own."""
    address = field.at(where).addresses[4]
    loads = [
        field.client.mesh.spawn("client", "python3", "-c", _LOAD, address, str(PORT), how)
        for how in ("one", "each")
    ]
    wait_for(lambda: b"GET /a" in field.at(where).seen())
    node = field.cluster["a" if where == "here" else "b"]
    for number in range(30):
        node.apply(reading("web", "web", [{"path": f"/(a|{number})"}]))
    for load in loads:
        assert load.stdin and load.stdout
        print(file=load.stdin, flush=True)
        done, failed = map(int, load.stdout.readline().split())
        assert done > 30 and failed == 0


_LOAD = """
import http.client, select, sys
host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
one, done, failed = None, 0, 0
while not select.select([sys.stdin], [], [], 0.005)[0]:
    one = one or http.client.HTTPConnection(host, port, timeout=5)
    try:
        one.request("GET", "/a")
        answer = one.getresponse()
        answer.read()
        failed += answer.status != 200
    except (OSError, http.client.HTTPException):
        failed += 1
        one.close()
    done += 1
    if how == "each":
        one.close()
        one = None
print(done, failed)
"""
