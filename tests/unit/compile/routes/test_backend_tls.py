"""BackendTLSPolicy: what is in force, and what is said of those that are not."""

from typing import Any

import pytest

from tests.unit.compile.routes.certs import config_map, pair, secret
from tests.unit.compile.routes.worlds import (
    GATEWAY,
    a_route,
    condition,
    front,
    gateway,
    hosts,
    http_route,
    listener,
    of_route,
    routed,
)
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Destination, Routing, UpstreamTls

_CA = config_map("ca", pair()[0])


def policy(name: str = "p", section: str = "", created: str = "", **more: Any) -> dict[str, Any]:
    target = {"group": "", "kind": "Service", "name": "web"}
    refs = [{"group": "", "kind": "ConfigMap", "name": "ca"}]
    validation: dict[str, Any] = {"hostname": "web.example", "caCertificateRefs": refs}
    metadata = {"name": name, "namespace": "shop", "generation": 5}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "BackendTLSPolicy",
        "metadata": metadata | ({"creationTimestamp": created} if created else {}),
        "spec": {
            "targetRefs": [target | ({"sectionName": section} if section else {})],
            "validation": validation | more,
        },
    }


def to_web(port: int = 80) -> dict[str, Any]:
    return http_route(rules=[{"backendRefs": [{"name": "web", "port": port}]}])


def destination(found: Routing) -> Destination:
    ((_, rule),) = hosts(found)["*"].entries
    only: Destination = rule.destinations[0]
    return only


def said(found: Routing, name: str = "p") -> list[tuple[str, str]]:
    """Accepted and ResolvedRefs, by the one Gateway."""
    (ancestor,) = found.status[ObjectRef("BackendTLSPolicy", "shop", name)]["ancestors"]
    assert ancestor["ancestorRef"]["name"] == "gw"
    assert {item["observedGeneration"] for item in ancestor["conditions"]} == {5}
    return [condition(ancestor, kind) for kind in ("Accepted", "ResolvedRefs")]


ACCEPTED, RESOLVED = ("True", "Accepted"), ("True", "ResolvedRefs")


def test_how_a_backend_is_spoken_to() -> None:
    found = routed(GATEWAY, _CA, policy(), to_web())
    expected = UpstreamTls("web.example", pair()[0], names=("web.example",))
    assert destination(found).tls == expected
    assert said(found) == [ACCEPTED, RESOLVED]


def test_alternative_names_replace_the_hostname() -> None:
    names = [
        {"type": "Hostname", "hostname": "*.a.example"},
        {"type": "URI", "uri": "spiffe://a/b"},
    ]
    tls = destination(routed(GATEWAY, _CA, policy(subjectAltNames=names), to_web())).tls
    assert tls is not None
    assert (tls.names, tls.uris) == (("*.a.example",), ("spiffe://a/b",))


def test_authorities_of_the_system() -> None:
    tls = {"caCertificateRefs": [], "wellKnownCACertificates": "System"}
    found = routed(GATEWAY, policy(**tls), to_web())
    assert destination(found).tls == UpstreamTls(
        "web.example", "", system_authorities=True, names=("web.example",)
    )
    tls["wellKnownCACertificates"] = "a.example/all"
    found = routed(GATEWAY, policy(**tls), to_web())
    assert said(found)[0] == ("False", "Invalid")
    assert destination(found).broken


@pytest.mark.parametrize(
    ("refs", "accepted", "resolved"),
    [
        ([("ConfigMap", "none")], "NoValidCACertificate", "InvalidCACertificateRef"),
        ([("ConfigMap", "odd")], "NoValidCACertificate", "InvalidCACertificateRef"),
        ([("Magic", "ca")], "NoValidCACertificate", "InvalidKind"),
        ([("ConfigMap", "none"), ("ConfigMap", "ca")], "", "InvalidCACertificateRef"),
    ],
)
def test_authorities_that_cannot_be_had(refs: Any, accepted: str, resolved: str) -> None:
    given = [{"group": "", "kind": kind, "name": name} for kind, name in refs]
    found = routed(
        GATEWAY, _CA, config_map("odd", "Hello"), policy(caCertificateRefs=given), to_web()
    )
    expected = ("False", accepted) if accepted else ACCEPTED
    assert said(found) == [expected, ("False", resolved)]
    assert bool(destination(found).broken) == bool(accepted)
    assert condition(of_route(found), "ResolvedRefs") == RESOLVED


@pytest.mark.parametrize("section", ["", "http"])
def test_of_two_for_one_target_the_older_is_in_force(section: str) -> None:
    found = routed(
        GATEWAY,
        _CA,
        policy("a", section, "2024-02-01T00:00:00Z", hostname="new.example"),
        policy("b", section, "2024-01-01T00:00:00Z", hostname="old.example"),
        to_web(),
    )
    assert said(found, "a")[0] == ("False", "Conflicted")
    assert said(found, "b")[0] == ACCEPTED
    tls = destination(found).tls
    assert tls is not None
    assert tls.sni == "old.example"


def test_one_for_a_port_comes_before_one_for_all() -> None:
    policies = (
        policy("all", hostname="all.example"),
        policy("one", "http", hostname="one.example"),
    )
    for port, expected in ((80, "one.example"), (8080, "all.example")):
        found = routed(GATEWAY, _CA, *policies, to_web(port))
        assert said(found, "all")[0] == said(found, "one")[0] == ACCEPTED
        tls = destination(found).tls
        assert tls is not None
        assert tls.sni == expected


def test_a_policy_that_no_gateway_needs_has_no_ancestors() -> None:
    found = routed(GATEWAY, _CA, policy())
    assert found.status[ObjectRef("BackendTLSPolicy", "shop", "p")] == {"ancestors": []}


def test_what_passes_through_is_not_encrypted_again() -> None:
    terminated = {"certificateRefs": [{"name": "good"}]}
    listeners = [
        listener("through", 443, "TLS", tls={"mode": "Passthrough"}),
        listener("ends", 444, "TLS", tls=terminated),
    ]
    to = [{"backendRefs": [{"name": "web", "port": 80}]}]
    route = a_route("TLSRoute", hostnames=["a.example"], rules=to)
    found = routed(gateway(*listeners), _CA, secret("good", *pair()), policy(), route)
    through, ends = (front(found, port).servers[0].streams[0] for port in (443, 444))
    assert through.destinations[0].tls is None
    assert ends.destinations[0].tls is not None
    bad = policy(caCertificateRefs=[{"group": "", "kind": "ConfigMap", "name": "none"}])
    found = routed(gateway(*listeners), secret("good", *pair()), bad, route)
    through, ends = (front(found, port).servers[0].streams[0] for port in (443, 444))
    assert not through.destinations[0].broken
    assert ends.destinations[0].broken


def test_options_that_nobody_knows_are_refused() -> None:
    document = policy()
    document["spec"]["options"] = {"a.example/min-version": "1.3"}
    found = routed(GATEWAY, _CA, document, to_web())
    assert said(found)[0] == ("False", "Invalid")
    assert destination(found).broken
