"""What Cilium's policies say of requests, read off a table: rules, request, verdict."""

from __future__ import annotations

import pytest
import yaml

from tests.unit.compile.explain.request_rows import FIRST, NO, PUBLIC, ROWS, SECOND, request, ruled
from tests.unit.compile.explain.town import asked, policy, town
from tulle.compile.explain.cilium_requests import allowing, in_words, settled
from tulle.compile.explain.requests import Request
from tulle.model.verdict import Verdict

CNP = "CiliumNetworkPolicy"


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


@pytest.mark.parametrize(("http", "text", "place"), ROWS)
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
