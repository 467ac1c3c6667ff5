"""Ingress: classes, hosts, paths, defaults, certificates, addresses."""

from typing import Any

import pytest

from tests.unit.compile.routes.certs import pair, secret
from tests.unit.compile.routes.worlds import (
    POOL,
    SERVICES,
    completed,
    order,
    routed,
    world_of,
)
from tulle.compile.routes import route
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Front, RequestMatch, Routing, TextMatch, ValueMatch, proxied_of

_WEB = {"service": {"name": "web", "port": {"number": 80}}}
_API = {"service": {"name": "api", "port": {"number": 80}}}


def path(text: str, kind: str = "Prefix", backend: Any = _WEB) -> dict[str, Any]:
    return {"path": text, "pathType": kind, "backend": backend}


def ingress(name: str = "i", *rules: dict[str, Any], created: str = "", **spec: Any) -> Any:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop"}
    metadata |= {"annotations": spec.pop("annotations", {})}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata | ({"creationTimestamp": created} if created else {}),
        "spec": {"ingressClassName": "tulle", **spec} | ({"rules": list(rules)} if rules else {}),
    }


def rule(*paths: dict[str, Any], host: str = "") -> dict[str, Any]:
    return {"http": {"paths": list(paths)}} | ({"host": host} if host else {})


def ingress_class(name: str, default: bool = False, ours: bool = True, created: str = "") -> Any:
    metadata: dict[str, Any] = {"name": name}
    metadata |= {"creationTimestamp": created} if created else {}
    if default:
        metadata["annotations"] = {"ingressclass.kubernetes.io/is-default-class": "true"}
    controller = "tulle.io/ingress-controller" if ours else "a.example/other"
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": metadata,
        "spec": {"controller": controller},
    }


def front(found: Routing, port: int = 80, name: str = "tulle") -> Front:
    return found.fronts[f"ingress/{name}/{port}"]


def by_host(found: Routing, port: int = 80) -> dict[str, list[str]]:
    (server,) = front(found, port).servers
    return {host.hostname: order(host) for host in server.hosts}


def matches(found: Routing, host: str = "*") -> list[RequestMatch]:
    (server,) = front(found).servers
    (only,) = [item for item in server.hosts if item.hostname == host]
    return [match for match, _ in only.entries]


def test_an_ingress_is_served_at_its_classs_address() -> None:
    found = routed(ingress("i", rule(path("/"))))
    status = found.status[ObjectRef("Ingress", "shop", "i")]
    (given,) = status["loadBalancer"]["ingress"]
    assert given["ip"].startswith("192.0.2.")
    assert [str(item) for item in front(found).addresses] == [given["ip"]]
    service = ("default", "tulle-ingress-tulle")
    assert proxied_of(found.fronts.values()) == {
        (service, item, 80, "TCP") for item in front(found).addresses
    }
    ((_, made),) = front(found).servers[0].hosts[0].entries
    assert made.id == "Ingress/shop/i/0"
    assert made.destinations[0].service == ("shop", "web")
    assert not found.refusals


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("/foo", "Exact", RequestMatch("/foo", TextMatch.EXACT)),
        ("/foo/", "Exact", RequestMatch("/foo/", TextMatch.EXACT)),
        ("/foo", "Prefix", RequestMatch("/foo")),
        ("/foo/", "Prefix", RequestMatch("/foo")),
        ("/", "Prefix", RequestMatch("/")),
        ("/foo", "ImplementationSpecific", RequestMatch("/foo")),
        ("", "ImplementationSpecific", RequestMatch("/")),
    ],
)
def test_path_types(text: str, kind: str, expected: RequestMatch) -> None:
    assert matches(routed(ingress("i", rule(path(text, kind))))) == [expected]


def test_exact_paths_then_long_prefixes_then_the_oldest() -> None:
    found = routed(
        ingress("a", rule(path("/"), path("/a/b"), path("/a", "Exact"), path("/a"))),
        ingress("b", rule(path("/a")), created="2024-01-01T00:00:00Z"),
    )
    assert by_host(found) == {"*": ["a/2", "a/1", "b/0", "a/3", "a/0"]}


def test_hosts() -> None:
    found = routed(
        ingress("any", rule(path("/any"))),
        ingress("wild", rule(path("/wild"), host="*.example")),
        ingress("one", rule(path("/one"), host="a.example")),
    )
    assert by_host(found) == {
        "a.example": ["one/0", "wild/0", "any/0"],
        "*.example": ["wild/0", "any/0"],
        "*": ["any/0"],
    }


def test_a_wildcard_stands_for_one_label() -> None:
    found = routed(ingress("wild", rule(path("/"), host="*.a.example")))
    label = ValueMatch("host", r"(?i)[^.]+\.a\.example(:[0-9]+)?", TextMatch.REGEX)
    assert matches(found, "*.a.example") == [RequestMatch(headers=(label,))]


def test_default_backends_take_what_is_left() -> None:
    found = routed(
        ingress("old", defaultBackend=_API, created="2024-01-01T00:00:00Z"),
        ingress("new", rule(path("/p"), host="a.example"), {"host": "b.example"},
                defaultBackend=_WEB),
        ingress("root", rule(path("/r"))),
    )  # fmt: skip
    assert by_host(found) == {
        "a.example": ["new/0", "root/0", "old/0"],
        "b.example": ["new/0"],  # all of it to the default backend of its own Ingress
        "*": ["root/0", "old/0"],
    }


@pytest.mark.parametrize(
    ("backend", "problem"),
    [
        ({"service": {"name": "web", "port": {"name": "two"}}}, ""),
        (
            {"service": {"name": "web", "port": {"name": "none"}}},
            "Service shop/web has no port named none",
        ),
        ({"service": {"name": "no", "port": {"number": 80}}}, "there is no Service shop/no"),
        ({"service": {"name": "no", "port": {"name": "x"}}}, "there is no Service shop/no"),
    ],
)
def test_backends(backend: dict[str, Any], problem: str) -> None:
    found = routed(ingress("i", rule(path("/", backend=backend), path("/good"))))
    entries = {match.path: made for match, made in front(found).servers[0].hosts[0].entries}
    only = entries["/"].destinations[0]
    assert only.broken == problem
    assert only.port == (8080 if not problem else only.port)
    assert not entries["/good"].destinations[0].broken
    told = [(item.ref, item.reason) for item in found.refusals]
    ref = ObjectRef("Ingress", "shop", "i")
    assert told == ([(ref, f"{problem}; the rest is in force")] if problem else [])


def test_certificates_by_host() -> None:
    tls = [{"hosts": ["a.example"], "secretName": "a"}, {"secretName": "any"}]
    found = routed(
        secret("a", *pair()),
        secret("any", *pair("rsa")),
        ingress("i", rule(path("/a"), host="a.example"), rule(path("/b")), tls=tls),
    )
    servers = {server.hostname: server for server in front(found, 443).servers}
    assert {host: server.protocol for host, server in servers.items()} == {
        "": "HTTPS",
        "a.example": "HTTPS",
    }
    names = {
        host: [item.name for item in server.termination.certificates]
        for host, server in servers.items()
        if server.termination
    }
    assert names == {"": ["shop/any"], "a.example": ["shop/a"]}
    assert [host.hostname for host in servers["a.example"].hosts] == ["a.example"]
    assert by_host(found)["a.example"] == ["i/0", "i/1"]


def test_a_certificate_that_cannot_be_had_leaves_the_rest() -> None:
    tls = [{"hosts": ["a.example"], "secretName": "none"}, {"hosts": ["b.example"]}]
    found = routed(ingress("i", rule(path("/")), tls=tls))
    assert list(found.fronts) == ["ingress/tulle/80"]
    assert [item.reason for item in found.refusals] == [
        "spec.tls[0]: there is no Secret shop/none; the rest is in force",
        "spec.tls[1]: no secretName: there is no certificate to serve; the rest is in force",
    ]


@pytest.mark.parametrize(
    ("classes", "fields", "served"),
    [
        ([], {}, "tulle"),
        ([], {"ingressClassName": ""}, ""),
        ([], {"ingressClassName": "other"}, ""),
        ([], {"ingressClassName": "", "annotations": {"kubernetes.io/ingress.class": "tulle"}},
         "tulle"),
        ([ingress_class("mine")], {"ingressClassName": "mine"}, "mine"),
        ([ingress_class("mine", default=True)], {"ingressClassName": ""}, "mine"),
        ([ingress_class("mine")], {"ingressClassName": ""}, ""),
        ([ingress_class("theirs", default=True, ours=False)], {"ingressClassName": ""}, ""),
        ([ingress_class("tulle", ours=False)], {}, ""),
        (
            [ingress_class("a", default=True, created="2024-01-01T00:00:00Z"),
             ingress_class("b", default=True, created="2024-02-01T00:00:00Z")],
            {"ingressClassName": ""},
            "b",
        ),
    ],
)  # fmt: skip
def test_classes(classes: list[Any], fields: dict[str, Any], served: str) -> None:
    found = routed(*classes, ingress("i", rule(path("/")), **fields))
    assert list(found.fronts) == ([f"ingress/{served}/80"] if served else [])
    assert bool(found.status) == bool(served)


def test_an_ingress_that_has_not_changed_costs_nothing() -> None:
    world = completed(world_of(POOL, SERVICES, ingress("i", rule(path("/"), host="a.example"))))
    first = route(world)
    more = completed(world_of(ingress("j", rule(path("/"), host="b.example")), base=world))
    second = route(more, first)
    assert second.fronts != first.fronts
    kept = front(second).servers[0].hosts[0]
    assert kept.hostname == "a.example"
    assert kept is front(first).servers[0].hosts[0]
    assert second.fronts == route(more).fronts
