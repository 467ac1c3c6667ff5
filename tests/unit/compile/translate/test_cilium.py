from ipaddress import ip_network

import pytest

from tulle.compile.rules import (
    NAMESPACE_KEY,
    Action,
    Cidr,
    Entity,
    Nodes,
    Pods,
    PolicyRule,
    PortTerm,
    Tier,
)
from tulle.model.cilium import CLUSTER_KEY
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement, ObjectRef
from tulle.model.verdict import Rule

from .samples import only, rule, translated

REF = ObjectRef("CiliumNetworkPolicy", "shop", "p")
SHOP = LabelSelector({NAMESPACE_KEY: "shop"})


def cnp(rest: str, subject: str = "endpointSelector: {}") -> str:
    meta = "kind: CiliumNetworkPolicy, metadata: {name: p, namespace: shop}"
    return f"{{{meta}, spec: {{{subject}, {rest}}}}}"


def ccnp(rest: str, subject: str = "endpointSelector: {}") -> str:
    meta = "kind: CiliumClusterwideNetworkPolicy, metadata: {name: p}"
    return f"{{{meta}, spec: {{{subject}, {rest}}}}}"


def ports(*protocols: str, port: int | str | None = None, end: int | None = None) -> object:
    return tuple(PortTerm(protocol, port, end) for protocol in protocols)


@pytest.mark.parametrize(
    ("rest", "isolated"),
    [
        ("ingress: []", {}),
        ("ingress: [{}]", {"ingress": True}),
        ("egress: [{}], ingress: [{}]", {"egress": True, "ingress": True}),
        # deny rules alone isolate too
        ("ingressDeny: [{}]", {"ingress": True}),
        ("egressDeny: [{fromEntities: []}]".replace("from", "to"), {"egress": True}),
        ("enableDefaultDeny: {ingress: true}", {"ingress": True}),
        ("enableDefaultDeny: {ingress: false}", {}),
        ("enableDefaultDeny: {ingress: false}, ingress: [{}]", {"ingress": False}),
        (
            "enableDefaultDeny: {egress: true}, ingressDeny: [{}]",
            {"egress": True, "ingress": True},
        ),
    ],
)
def test_which_directions_are_isolated(rest: str, isolated: dict[str, bool]) -> None:
    found = translated(cnp(rest))
    assert {item.direction: item.isolates for item in found} == isolated
    assert all(item.tier is Tier.NAMESPACE for item in found)


def test_subjects() -> None:
    assert only(cnp("ingress: [{}]")).subject == Pods(SHOP)
    assert only(ccnp("ingress: [{}]")).subject == Pods(LabelSelector())
    app = "endpointSelector: {matchLabels: {'k8s:app': web}}"
    web = LabelSelector({"app": "web", NAMESPACE_KEY: "shop"})
    assert only(cnp("ingress: [{}]", app)).subject == Pods(web)
    nodes = "nodeSelector: {matchLabels: {'node:zone': a}}"
    assert only(ccnp("ingress: [{}]", nodes)).subject == Nodes(LabelSelector({"zone": "a"}))


def test_a_subject_that_names_labels_of_namespaces_stays_in_its_own() -> None:
    key = "io.cilium.k8s.namespace.labels.team"
    subject = only(cnp("ingress: [{}]", f"endpointSelector: {{matchLabels: {{{key}: x}}}}")).subject
    assert subject == Pods(LabelSelector({key: "x", NAMESPACE_KEY: "shop"}))


def test_rules_are_named_by_their_lists_and_specs() -> None:
    specs = "{endpointSelector: {}, ingressDeny: [{}]}, {endpointSelector: {}, ingress: [{}]}"
    text = (
        "{kind: CiliumNetworkPolicy, metadata: {name: p, namespace: shop}, "
        f"spec: {{endpointSelector: {{}}, ingress: [{{}}]}}, specs: [{specs}]}}"
    )
    assert [item.rules[0].rule for item in translated(text)] == [
        Rule("ingress", REF, 0),
        Rule("ingress", REF, 0, spec=0, deny=True),
        Rule("ingress", REF, 0, spec=1),
    ]


def test_a_rule_without_peers_and_ports_matches_nothing() -> None:
    for action, name in ((Action.ALLOW, "ingress"), (Action.DENY, "ingressDeny")):
        where = Rule("ingress", REF, 0, deny=action is Action.DENY)
        assert rule(cnp(f"{name}: [{{}}]")) == PolicyRule(where, action, peers=())


def test_a_rule_with_ports_alone_is_for_everybody() -> None:
    found = rule(cnp("ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]"))
    assert (found.peers, found.ports) == (None, ports("TCP", port=80))


@pytest.mark.parametrize("name", ["Endpoints", "CIDR", "CIDRSet", "Entities", "Nodes"])
def test_an_empty_list_of_peers_is_nobody(name: str) -> None:
    port = "toPorts: [{ports: [{port: '80'}]}]"
    assert rule(cnp(f"ingress: [{{from{name}: [], {port}}}]")).peers == ()
    assert rule(cnp(f"egress: [{{to{name}: []}}]")).peers == ()


@pytest.mark.parametrize(
    ("peers", "terms"),
    [
        ("Endpoints: [{}]", (Pods(SHOP),)),
        ("Endpoints: [{matchLabels: {'reserved:host': ''}}]", (Entity.HOST,)),
        ("CIDR: [10.1.2.3/8]", (Cidr(ip_network("10.0.0.0/8"), managed=False),)),
        ("CIDR: [192.0.2.1, '2001:db8::1']", tuple(
            Cidr(ip_network(item), managed=False) for item in ("192.0.2.1", "2001:db8::1")
        )),
        ("CIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]", (
            Cidr(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"),), managed=False),
        )),
        ("Entities: [all, cluster, none, health, world-ipv6]", (
            Entity.ALL, Entity.CLUSTER, Entity.WORLD_IPV6,
        )),
        ("Nodes: [{matchLabels: {'k8s:role': front}}]", (Nodes(LabelSelector({"role": "front"})),)),
    ],
)  # fmt: skip
def test_peers(peers: str, terms: tuple[object, ...]) -> None:
    assert rule(cnp(f"ingress: [{{from{peers}}}]")).peers == terms
    assert rule(cnp(f"egress: [{{to{peers}}}]")).peers == terms
    assert rule(cnp(f"ingressDeny: [{{from{peers}}}]")).peers == terms
    assert rule(cnp(f"egressDeny: [{{to{peers}}}]")).peers == terms


def test_groups_and_services_are_looked_up() -> None:
    group = "{kind: CiliumCIDRGroup, metadata: {name: g}, spec: {externalCIDRs: [10.0.0.0/8]}}"
    found = rule(cnp("ingress: [{fromCIDRSet: [{cidrGroupRef: g, except: [10.1.0.0/16]}]}]")
        + "\n---\n" + group)  # fmt: skip
    holes = (ip_network("10.1.0.0/16"),)
    assert found.peers == (Cidr(ip_network("10.0.0.0/8"), holes, managed=False),)
    service = (
        "{kind: Service, metadata: {name: s, namespace: shop}, "
        "spec: {selector: {app: s}, ports: [{port: 80}]}}"
    )
    found = rule(cnp("egress: [{toServices: [{k8sService: {serviceName: s}}]}]")
        + "\n---\n" + service)  # fmt: skip
    assert found.peers == (Pods(LabelSelector({"app": "s", NAMESPACE_KEY: "shop"})),)


@pytest.mark.parametrize(
    ("port", "terms"),
    [
        ("port: '80'", ports("TCP", "UDP", "SCTP", port=80)),
        ("port: '80', protocol: ANY", ports("TCP", "UDP", "SCTP", port=80)),
        ("port: '80', endPort: 90, protocol: UDP", ports("UDP", port=80, end=90)),
        ("port: http, protocol: TCP", ports("TCP", port="http")),
        ("port: '0', protocol: TCP", ports("TCP")),
        ("port: '0'", ports("TCP", "UDP", "SCTP")),
        ("protocol: SCTP", ports("SCTP")),
    ],
)
def test_ports(port: str, terms: object) -> None:
    text = f"[{{fromEntities: [all], toPorts: [{{ports: [{{{port}}}]}}]}}]"
    assert rule(cnp(f"ingress: {text}")).ports == terms
    assert rule(cnp(f"ingressDeny: {text}")).ports == terms


def test_no_port_of_a_list_is_none_at_all() -> None:
    assert rule(cnp("ingress: [{fromEntities: [all], toPorts: [{}]}]")).ports == ()
    assert rule(cnp("ingress: [{fromEntities: [all], toPorts: []}]")).ports is None


@pytest.mark.parametrize(
    ("field", "term"),
    [
        ("type: 8", PortTerm("ICMP", 8)),
        ("type: '0'", PortTerm("ICMP", 0)),
        ("type: EchoRequest", PortTerm("ICMP", 8)),
        ("type: EchoRequest, family: IPv6", PortTerm("ICMPv6", 128)),
        ("type: 135, family: IPv6", PortTerm("ICMPv6", 135)),
    ],
)
def test_icmp(field: str, term: PortTerm) -> None:
    assert rule(cnp(f"ingress: [{{icmps: [{{fields: [{{{field}}}]}}]}}]")).ports == (term,)


def test_a_requirement_denies_those_that_do_not_meet_it() -> None:
    text = "ingress: [{fromEndpoints: [{}]}, {fromRequires: [{matchLabels: {team: a}}]}]"
    required, first, second = only(cnp(text)).rules
    unmet = (
        LabelSelectorRequirement("team", "NotIn", ("a",)),
        LabelSelectorRequirement(NAMESPACE_KEY, "NotIn", ("shop",)),
        LabelSelectorRequirement(CLUSTER_KEY, "NotIn", ("default",)),
    )
    anywhere = LabelSelectorRequirement(CLUSTER_KEY, "Exists")
    terms = tuple(Pods(LabelSelector({}, (item, anywhere))) for item in unmet)
    assert required == PolicyRule(Rule("ingress", REF, 1), Action.DENY, terms)
    assert first.peers == (Pods(SHOP),)
    assert second.peers == ()  # it grants nothing by itself


def test_denials_come_first() -> None:
    found = only(cnp("ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [world]}]"))
    assert [item.action for item in found.rules] == [Action.DENY, Action.ALLOW]


def test_annotations() -> None:
    text = cnp("ingress: [{}]").replace("name: p", "name: p, annotations: {tulle.io/audit: 'true'}")
    assert (only(text).audit, only(text).reject) == (True, False)
    text = text.replace("audit", "reject")
    assert (only(text).audit, only(text).reject) == (False, True)
