"""Which Secrets and ConfigMaps are read: no more than our own objects name and may use."""

from __future__ import annotations

from typing import Any

from tests.unit.agent.kube.said import said
from tulle.agent.kube.store import Store
from tulle.agent.kube.wanted import MOST, references
from tulle.model.kubernetes import ObjectRef

RULES = [{"host": "example.com"}]
GATEWAY = "gateway.networking.k8s.io/v1"
NETWORKING = "networking.k8s.io/v1"


def named(store: Store) -> set[str]:
    return {str(ref) for ref in references(store.snapshot())[0]}


def put(
    store: Store, kind: str, version: str, name: str, spec: Any, namespace: str = "shop"
) -> None:
    raw = said(name, namespace, spec=spec)
    store.put(kind, ((namespace, name), "1", raw), version)
    assert not store.snapshot().refusals


def gateway(*refs: Any, of: str = "tulle", **tls: Any) -> Any:
    listener: Any = {"name": "x", "port": 443, "protocol": "HTTPS" if refs else "HTTP"}
    if refs:
        listener["tls"] = {"certificateRefs": list(refs)}
    return {"gatewayClassName": of, "listeners": [listener], **({"tls": tls} if tls else {})}


def test_a_gateways_certificates_and_authorities() -> None:
    store = Store()
    authority = {"group": "", "kind": "ConfigMap", "name": "ca"}
    frontend = {"default": {"validation": {"caCertificateRefs": [authority]}}}
    backend = {"clientCertificateRef": {"name": "client"}}
    put(
        store, "Gateway", GATEWAY, "web", gateway({"name": "a"}, frontend=frontend, backend=backend)
    )
    assert named(store) == {"Secret shop/a", "Secret shop/client", "ConfigMap shop/ca"}


def test_one_namespace_does_not_have_every_node_watch_without_end() -> None:
    store = Store()
    put(store, "Gateway", GATEWAY, "web", gateway({"name": "a"}))
    assert references(store.snapshot())[1] == []
    listeners = [
        gateway(*({"name": f"{port}-{number}"} for number in range(64)))["listeners"][0]
        | {"name": f"x{port}", "port": port}
        for port in range(1, 65)
    ]
    put(store, "Gateway", GATEWAY, "many", gateway() | {"listeners": listeners}, "evil")
    assert len(named(store)) == 1 + MOST and "Secret shop/a" in named(store)
    (told,) = references(store.snapshot())[1]
    assert told.startswith("Namespace evil: its objects name 4096, and so more than 1000, Secrets")


def test_nothing_of_other_controllers() -> None:
    store = Store()
    put(store, "Gateway", GATEWAY, "web", gateway({"name": "a"}, of="other"))
    spec = {
        "ingressClassName": "other",
        "tls": [{"secretName": "b"}],
        "rules": [{"host": "example.com"}],
    }
    put(store, "Ingress", NETWORKING, "web", spec)
    assert named(store) == set()


def test_of_another_namespace_only_what_that_grants() -> None:
    store = Store()
    put(store, "Gateway", GATEWAY, "web", gateway({"name": "a", "namespace": "vault"}))
    assert named(store) == set()
    source = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop"}
    grant = {"from": [source], "to": [{"group": "", "kind": "Secret"}]}
    version = "gateway.networking.k8s.io/v1beta1"
    put(store, "ReferenceGrant", version, "let", grant, "vault")
    assert references(store.snapshot())[0] == {ObjectRef("Secret", "vault", "a")}


def test_of_listener_sets_backend_tls_policies_and_ingresses() -> None:
    store = Store()
    put(store, "Gateway", GATEWAY, "web", gateway())
    more = {"parentRef": {"name": "web"}, "listeners": gateway({"name": "more"})["listeners"]}
    put(store, "ListenerSet", GATEWAY, "more", more)
    stray = {"parentRef": {"name": "none"}, "listeners": gateway({"name": "no"})["listeners"]}
    put(store, "ListenerSet", GATEWAY, "stray", stray)
    authority = {"group": "", "kind": "ConfigMap", "name": "ca"}
    target = {"group": "", "kind": "Service", "name": "web"}
    validation = {"hostname": "example.com", "caCertificateRefs": [authority]}
    policy = {"targetRefs": [target], "validation": validation}
    put(store, "BackendTLSPolicy", GATEWAY, "web", policy)
    spec = {
        "ingressClassName": "tulle",
        "tls": [{"secretName": "b"}, {}],
        "rules": [{"host": "example.com"}],
    }
    put(store, "Ingress", NETWORKING, "web", spec)
    assert named(store) == {"Secret shop/more", "ConfigMap shop/ca", "Secret shop/b"}
