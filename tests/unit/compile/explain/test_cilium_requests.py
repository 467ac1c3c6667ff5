"""What Cilium's policies say of requests, read off a table: rules, request, verdict."""

from __future__ import annotations

import pytest
import yaml

from tests.unit.compile.explain.town import asked, policy, town
from tulle.compile.explain.cilium_requests import allowing, in_words, settled
from tulle.compile.explain.requests import Request
from tulle.model.verdict import Verdict

CNP = "CiliumNetworkPolicy"
NO = ""
FIRST, SECOND = "toPorts[0].rules.http[0]", "toPorts[0].rules.http[1]"
PUBLIC = "{method: GET, path: '/public(/.*)?'}"


def request(text: str) -> Request:
    """`METHOD PATH host=h name=value…`"""
    method, path, *rest = text.split(" ")
    pairs = [tuple(item.split("=", 1)) for item in rest]
    host = next((value for name, value in pairs if name == "host"), "web")
    headers = tuple((name, value) for name, value in pairs if name != "host")
    return Request(method, path, host, headers)  # type: ignore[arg-type]


def ruled(http: str) -> str:
    item = f"{{ports: [{{port: '80', protocol: TCP}}], rules: {{http: [{http}]}}}}"
    return f"{{endpointSelector: {{}}, ingress: [{{toPorts: [{item}]}}]}}"


def judged(text: str, *policies: object) -> str:
    """The place of the rule that allows a request to shop/db; "400" where nothing is judged."""
    world = town(*policies)
    verdict = asked("shop/web > shop/db", *policies)
    assert verdict.allowed and verdict.requests
    request_as_judged = settled(request(text))
    if request_as_judged is None:
        return "400"
    name = allowing(world, verdict.requests, request_as_judged)
    return name.partition("ingress[0].")[2] or name


@pytest.mark.parametrize(
    ("http", "text", "place"),
    [
        # nothing is said: everything is allowed
        ("{}", "GET /", FIRST),
        ("{}", "BREW /pot?x=1", FIRST),
        # all parts must hold
        (PUBLIC, "GET /public", FIRST),
        (PUBLIC, "GET /public/a", FIRST),
        (PUBLIC, "POST /public", NO),
        (PUBLIC, "GET /private", NO),
        (PUBLIC, "HEAD /public", NO),
        # any one rule suffices, and the first is named
        (f"{PUBLIC}, {{method: POST}}", "POST /private", SECOND),
        (f"{PUBLIC}, {{method: GET}}", "GET /public", FIRST),
        (f"{PUBLIC}, {{method: POST}}", "PUT /private", NO),
        # regular expressions are of the whole text
        ("{path: /a}", "GET /a", FIRST),
        ("{path: /a}", "GET /ab", NO),
        ("{path: /a}", "GET /b/a", NO),
        ("{path: a}", "GET /a", NO),
        ("{path: /a|/b}", "GET /b", FIRST),
        ("{path: '^/a$'}", "GET /a", FIRST),
        ("{path: '(?i)/A'}", "GET /a", FIRST),
        ("{path: '/[0-9]{3}'}", "GET /123", FIRST),
        ("{path: '/[0-9]{3}'}", "GET /1234", NO),
        ("{path: '/a.b'}", "GET /axb", FIRST),
        # the query is a part of the path
        ("{path: /a}", "GET /a?x=1", NO),
        ("{path: '/a(\\?.*)?'}", "GET /a?x=1", FIRST),
        ("{path: '/a\\?x=[0-9]+'}", "GET /a?x=12", FIRST),
        ("{path: '/a\\?x=[0-9]+'}", "GET /a?x=y", NO),
        # methods
        ("{method: GET|HEAD}", "HEAD /", FIRST),
        ("{method: GET|HEAD}", "GETHEAD /", NO),
        ("{method: 'P.*'}", "PATCH /", FIRST),
        ("{method: get}", "GET /", NO),
        # hosts
        ("{host: 'a\\.test'}", "GET / host=a.test", FIRST),
        ("{host: 'a\\.test'}", "GET / host=axtest", NO),
        ("{host: a.test}", "GET / host=axtest", FIRST),
        ("{host: 'a\\.test'}", "GET / host=a.test:80", NO),
        ("{host: 'a\\.test(:[0-9]+)?'}", "GET / host=a.test:80", FIRST),
        ("{host: 'a\\.test'}", "GET / host=a.test,b.test", "400"),
        # headers
        ("{headers: [X-Key]}", "GET / x-key=1", FIRST),
        ("{headers: [X-Key]}", "GET / x-other=1", NO),
        ("{headers: ['X-Key: 1']}", "GET / X-KEY=1", FIRST),
        ("{headers: ['X-Key: 1']}", "GET / x-key=2", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=1 x-key=2", NO),
        ("{headers: ['X-Key: 1']}", "GET / x-key=.", NO),
        ("{headers: ['X-Key 1', X-Any]}", "GET / x-key=1 x-any=z", FIRST),
        ("{headers: ['X-Key 1', X-Any]}", "GET / x-key=1", NO),
        ("{headerMatches: [{name: X-A, value: '1'}]}", "GET / x-a=1", FIRST),
        ("{headerMatches: [{name: X-A, value: '1'}]}", "GET / x-a=2", NO),
        ("{headerMatches: [{name: X-A, value: '1'}]}", "GET /", NO),
        ("{headerMatches: [{name: X-A}]}", "GET / x-a=2", FIRST),
        ("{headerMatches: [{name: X-A}]}", "GET /", NO),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: LOG}]}", "GET /", FIRST),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: ADD}]}", "GET / x-a=2", FIRST),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: DELETE}]}", "GET / x-a=2", FIRST),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: REPLACE}]}", "GET /", FIRST),
        ("{method: GET, headerMatches: [{name: X-A, value: '1', mismatch: ADD}]}", "PUT /", NO),
        # gRPC: a method is a path
        ("{method: POST, path: /shop.Cart/Get}", "POST /shop.Cart/Get", FIRST),
        ("{method: POST, path: /shop.Cart/Get}", "POST /shop.Cart/Put", NO),
        ("{method: POST, path: '/shop\\.Cart/.*'}", "POST /shop.Cart/Put", FIRST),
        ("{method: POST, path: '/shop\\.Cart/.*'}", "POST /shop.Admin/Put", NO),
        # a rule that cannot be honoured allows nothing, and the others hold
        ("{path: (}", "GET /", NO),
        ("{path: (}, {path: /a}", "GET /a", SECOND),
        ("{headers: ['Host: web']}", "GET /", NO),
        ("{headers: ['Transfer-Encoding: chunked']}", "GET / transfer-encoding=chunked", NO),
        ("{headerMatches: [{name: X-A, secret: {name: a}}]}", "GET / x-a=1", NO),
        # what is judged is what the backend gets
        (PUBLIC, "GET /public/../private", NO),
        (PUBLIC, "GET /private/../public", FIRST),
        (PUBLIC, "GET /public/%2e%2e/private", NO),
        (PUBLIC, "GET /public/./a", FIRST),
        (PUBLIC, "GET //public", FIRST),
        (PUBLIC, "GET /%70ublic", FIRST),
        (PUBLIC, "GET /public/..;/private", NO),
        (PUBLIC, "GET /public\\..\\private", NO),
        (PUBLIC, "GET /public/%2e%2e%2fprivate", "400"),
        (PUBLIC, "GET /public/%5c..", "400"),
        (PUBLIC, "GET /public/%252e%252e/private", "400"),
        (PUBLIC, "GET /public/%c0%ae%c0%ae/private", "400"),
        (PUBLIC, "GET /public/..%3b/private", "400"),
        (PUBLIC, "GET /public/%zz", "400"),
        (PUBLIC, "GET /public/%", "400"),
        (PUBLIC, "GET /public/%0d%0aX", "400"),
        (PUBLIC, "GET /public#a", "400"),
        (PUBLIC, "GET public", "400"),
        (PUBLIC, "GET *", "400"),
        (PUBLIC, "GET /publiç", "400"),
        (PUBLIC, "G(T /public", "400"),
        (PUBLIC, "GET /public/caf%c3%a9", FIRST),
    ],
)  # fmt: skip
def test_one_policy(http: str, text: str, place: str) -> None:
    assert judged(text, policy("shop/p", ruled(http), CNP)) == place


@pytest.mark.parametrize(
    ("path", "as_judged"),
    [
        ("/a/b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../..", "/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/a//b///c", "/a/b/c"),
        ("/a//../b", "/a/b"),
        ("/a/.;x/b", "/a/b"),
        ("/a;x/../b", "/b"),
        ("/a/...", "/a/..."),
        ("/%41%7e%2d", "/A~-"),
        ("/%20%3b", "/%20%3b"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/a?b=/../c//d", "/a?b=/../c//d"),
        ("/a?b=%zz", "/a?b=%zz"),
    ],
)
def test_paths_are_judged_in_their_normal_form(path: str, as_judged: str) -> None:
    found = settled(Request("GET", path, "web"))
    assert found and found.path == as_judged


def both(first: str, second: str) -> Verdict:
    return asked("shop/web > shop/db", policy("shop/a", first, CNP), policy("shop/b", second, CNP))


READS = ruled("{path: /a}")
WHERE = f"{CNP} shop/{{}} ingress[0].toPorts[0]"


def test_rules_of_several_policies_add_up() -> None:
    verdict = both(READS, ruled("{path: /b}"))
    assert [str(item) for item in verdict.requests] == [WHERE.format("a"), WHERE.format("b")]
    assert str(verdict.ingress) == f"{CNP} shop/a ingress[0]"
    world = town(policy("shop/a", READS, CNP), policy("shop/b", ruled("{path: /b}"), CNP))
    assert allowing(world, verdict.requests, request("GET /b")).startswith(f"{CNP} shop/b")


@pytest.mark.parametrize(
    ("other", "rule", "reads"),
    [
        # who allows all requests allows all requests
        ("ingress: [{fromEntities: [cluster]}]", "shop/b ingress[0]", False),
        ("ingress: [{toPorts: [{ports: [{port: '80'}]}]}]", "shop/b ingress[0]", False),
        ("ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]", "shop/b ingress[0]", False),
        ("ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}]", "shop/a ingress[0]", True),
        ("ingress: [{toPorts: [{ports: [{port: '81'}]}]}]", "shop/a ingress[0]", True),
        ("ingress: [{}]", "shop/a ingress[0]", True),
        # denials are before everything
        ("ingressDeny: [{fromEntities: [cluster]}]", "shop/b ingressDeny[0]", False),
        ("ingressDeny: [{toPorts: [{ports: [{port: '80'}]}]}]", "shop/b ingressDeny[0]", False),
        ("ingressDeny: [{fromEntities: [world]}]", "shop/a ingress[0]", True),
    ],
)  # fmt: skip
def test_beside_rules_of_layers_3_and_4(other: str, rule: str, reads: bool) -> None:
    verdict = both(READS, f"{{endpointSelector: {{}}, {other}}}")
    assert str(verdict.rule) == f"{CNP} {rule}"
    assert bool(verdict.requests) is reads


def test_a_rule_may_allow_all_requests_on_one_port_and_some_on_another() -> None:
    text = """
    endpointSelector: {}
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts:
      - {ports: [{port: "81"}]}
      - {ports: [{port: "80", endPort: 82, protocol: TCP}], rules: {http: [{path: /a}]}}
    """
    item = policy("shop/p", text, CNP)
    assert [str(one) for one in asked("shop/web > shop/db TCP 80", item).requests] == [
        f"{CNP} shop/p ingress[0].toPorts[1]"
    ]
    assert asked("shop/web > shop/db TCP 82", item).requests
    assert asked("shop/web > shop/db TCP 81", item).requests == ()
    assert not asked("shop/web > shop/db UDP 80", item).allowed
    assert not asked("shop/api > shop/db TCP 80", item).allowed


def test_both_ends_judge() -> None:
    out = READS.replace("ingress", "egress")
    verdict = asked("shop/web > shop/db", policy("shop/a", READS, CNP), policy("shop/b", out, CNP))
    assert [str(item) for item in verdict.requests] == [
        f"{CNP} shop/b egress[0].toPorts[0]",
        f"{CNP} shop/a ingress[0].toPorts[0]",
    ]


def test_requests_are_judged_without_a_default_deny_as_well() -> None:
    text = READS.replace("ingress:", "enableDefaultDeny: {ingress: false}, ingress:")
    item = policy("shop/p", text, CNP)
    assert asked("shop/web > shop/db TCP 81", item).requests == ()
    assert asked("shop/web > shop/db", item).requests


def test_the_node_itself_is_not_asked() -> None:
    assert asked("node > shop/db", policy("shop/p", READS, CNP)).requests == ()


def test_in_audit_mode_requests_pass_and_are_told_of() -> None:
    shadow = policy("shop/p", READS, CNP, audit="true")
    verdict = asked("shop/web > shop/db", shadow)
    assert verdict.requests == ()
    assert [str(item) for item in verdict.audit_requests] == [WHERE.format("p")]
    enforced = policy("shop/q", READS, CNP)
    verdict = asked("shop/web > shop/db", shadow, enforced)
    assert [str(item) for item in verdict.requests] == [WHERE.format("q")]
    assert verdict.audit_requests == ()


def test_in_words() -> None:
    http = (
        f"{PUBLIC}, {{path: (}}, {{}}, {{host: web, headers: [X-A], "
        "headerMatches: [{name: X-B, value: '1', mismatch: LOG}]}"
    )
    item = policy("shop/p", ruled(http), CNP)
    (rule,) = asked("shop/web > shop/db", item).requests
    assert list(in_words(town(item), rule)) == [
        "method GET, path /public(/.*)?",
        "any request",
        "host web, header X-A, header X-B: 1 or LOG",
    ]


def test_names_of_servers_in_words() -> None:
    text = "{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}], "
    item = policy("shop/p", text + "serverNames: [a.test, '*.b.test']}]}]}", CNP)
    verdict = asked("shop/web > internet TCP 443", item)
    assert [list(in_words(town(item), rule)) for rule in verdict.requests] == [
        ["TLS to a.test, *.b.test"]
    ]


def test_specs_and_clusterwide_policies_are_found() -> None:
    wide = policy("p", f"[{ruled('{path: /a}')}]", "CiliumClusterwideNetworkPolicy")
    (rule,) = asked("shop/web > shop/db", wide).requests
    assert allowing(town(wide), (rule,), request("GET /a")).endswith(f"specs[0].ingress[0].{FIRST}")


def test_the_example_of_ciliums_documentation() -> None:
    text = yaml.safe_dump(
        {
            "endpointSelector": {"matchLabels": {"app": "db"}},
            "ingress": [
                {
                    "toPorts": [
                        {
                            "ports": [{"port": "80", "protocol": "TCP"}],
                            "rules": {
                                "http": [
                                    {"method": "GET", "path": "/path1$"},
                                    {
                                        "method": "PUT",
                                        "path": "/path2$",
                                        "headers": ["X-My-Header: true"],
                                    },
                                ]
                            },
                        }
                    ]
                }
            ],
        }
    )
    item = policy("shop/p", text, CNP)
    assert judged("GET /path1", item) == FIRST
    assert judged("PUT /path2 x-my-header=true", item) == SECOND
    assert judged("PUT /path2", item) == NO
