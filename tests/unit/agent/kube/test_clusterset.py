"""What a set of clusters exports, what comes of it here, and what the API is told of that."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from tulle.agent.kube.backing import MANAGED_BY as SLICE_MANAGED_BY
from tulle.agent.kube.clusterset import (
    MANAGED_BY,
    Imports,
    body_of,
    exported,
    exports_of,
    foreign_imports,
    imports_of,
    merged,
    of_services,
)
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import (
    AFFINITY_ANNOTATION,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    ObjectRef,
    Service,
    ServicePort,
    ServiceSpec,
)
from tulle.model.multicluster import (
    ServiceExport,
    ServiceImport,
    ServiceImportSpec,
)
from tulle.model.world import Refusal

WEB = ("shop", "web")
STANDS = ("shop", "clusterset/web")
RANGES = (ip_network("198.18.96.0/20"), ip_network("fd00:7a11:0:97::/112"))
OURS = {MANAGED_BY: "tulle.io"}
HTTP = ServicePort(80, "http")


def a_service(*ports: ServicePort, annotations: Any = None, **spec: Any) -> Service:
    given: dict[str, Any] = {"cluster_ip": "10.96.0.9", "ip_families": ("IPv4",), **spec}
    meta = ObjectMeta("web", "shop", {"app": "web"}, annotations or {})
    return Service(meta, ServiceSpec(ports=ports or (HTTP,), selector={"app": "web"}, **given))


def says(
    service: Service | None = None, created: str = "2026-01-01T00:00:00Z", **kinds: Any
) -> Snapshot:
    """A cluster that exports `web`, which it may not have."""
    export = ServiceExport(ObjectMeta("web", "shop", generation=3, creation_timestamp=created))
    found: dict[str, Any] = {"ServiceExport": {WEB: export}}
    found |= {"Namespace": {"shop": Namespace(ObjectMeta("shop"))}}
    found |= {"Service": {WEB: service}} if service else {}
    return Snapshot(found | kinds, ())


def an_import(*ips: str, labels: Any = OURS, created: str = "") -> ServiceImport:
    meta = ObjectMeta("web", "shop", labels, creation_timestamp=created)
    return ServiceImport(meta, ServiceImportSpec(ips=ips))


def stands_for(*clusters: Snapshot, ours: Snapshot | None = None) -> Service | None:
    said = {f"c{number}": item for number, item in enumerate(clusters)}
    return Imports(RANGES).services(ours or clusters[0], exports_of(said)).get(STANDS)


def test_a_service_is_exported_by_the_object_of_its_name() -> None:
    assert exported(says(a_service())) == {WEB}
    assert not exported(says()) and not exports_of({"east": says()})
    assert not exported(Snapshot({"Service": {WEB: a_service()}}, ()))


def test_the_oldest_export_comes_first_and_of_two_the_first_by_name() -> None:
    said = {"b": says(a_service()), "c": says(a_service(), "2025-01-01T00:00:00Z")}
    (of,) = exports_of(said | {"a": says(a_service())}).values()
    assert [item.cluster for item in of] == ["c", "a", "b"]


LATER = "2026-02-02T00:00:00Z"


@pytest.mark.parametrize(
    ("later", "ports", "conflicts"),
    [
        (a_service(), ["http:80"], []),
        (a_service(HTTP, ServicePort(90, "more")), ["http:80", "more:90"], []),
        (a_service(ServicePort(80, "http", "UDP")), ["http:80"], ["PortConflict"]),
        (a_service(ServicePort(81, "http")), ["http:80"], ["PortConflict"]),
        (a_service(ServicePort(80, "other")), ["http:80"], ["PortConflict"]),
        (a_service(ServicePort(80, "http", app_protocol="h2c")), ["http:80"], ["PortConflict"]),
        (a_service(ServicePort(80, "http", target_port=8080)), ["http:80"], []),
        (a_service(ServicePort(80, "http", node_port=30080), type="NodePort"), ["http:80"], []),
        (a_service(ServicePort(80, "dns", "UDP")), ["http:80", "dns:80"], []),
        (a_service(cluster_ip="None"), ["http:80"], ["TypeConflict"]),
        (a_service(session_affinity="ClientIP"), ["http:80"], ["SessionAffinityConflict"]),
        (a_service(ip_families=("IPv6",)), ["http:80"], ["IPFamilyConflict"]),
        (
            a_service(ServicePort(81, "http"), cluster_ip="None"),
            ["http:80"],
            ["PortConflict", "TypeConflict"],
        ),
    ],
)
def test_what_can_be_merged_is_and_else_the_oldest_is_right(
    later: Service, ports: list[str], conflicts: list[str]
) -> None:
    said = {"west": says(later, LATER), "east": says(a_service())}
    found = merged(exports_of(said)[WEB])
    assert [f"{port.name}:{port.port}" for port in found.ports] == ports
    assert list(found.conflicts) == conflicts
    assert all("cluster west" in text for text in found.conflicts.values())
    made = stands_for(*said.values())
    assert made is not None and made.spec.cluster_ip == ""
    assert made.spec.session_affinity == "None"


def test_what_stands_for_an_import_is_a_service_without_labels_or_node_ports() -> None:
    made = stands_for(says(a_service(session_affinity="ClientIP")))
    assert made is not None and made.spec.selector and not made.metadata.labels
    assert made.spec.session_affinity == "ClientIP" and made.spec.type == "ClusterIP"
    headless = stands_for(says(a_service(cluster_ip="None")))
    assert headless is not None and headless.spec.cluster_ip == "None"


@pytest.mark.parametrize(
    ("annotations", "affinity"),
    [
        ({}, "none"),
        ({"tulle.io/global": "true"}, "local"),
        ({AFFINITY_ANNOTATION: "local"}, "local"),
        ({AFFINITY_ANNOTATION: "remote", "tulle.io/global": "true"}, "remote"),
    ],
)
def test_backends_are_alike_unless_this_clusters_service_says_otherwise(
    annotations: dict[str, str], affinity: str
) -> None:
    ours, theirs = says(a_service(annotations=annotations)), says(a_service(), LATER)
    made = stands_for(ours, theirs)
    assert made is not None and made.metadata.annotations == {AFFINITY_ANNOTATION: affinity}
    made = stands_for(ours, theirs, ours=says())
    assert made is not None and made.metadata.annotations == {AFFINITY_ANNOTATION: "none"}


def test_it_is_only_where_its_namespace_is() -> None:
    assert stands_for(says(a_service()), ours=Snapshot({}, ())) is None
    assert stands_for(says(a_service()), ours=says()) is not None


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        (an_import("198.18.97.5"), ("198.18.97.5",)),
        (an_import("10.96.0.1"), ()),  # the API server's
        (an_import("nowhere"), ()),
        (an_import("fd00:7a11:0:97::5"), ()),  # a family that it has not
    ],
)
def test_an_address_stays_if_it_is_one_that_tulle_gives(
    known: ServiceImport, kept: tuple[str, ...]
) -> None:
    made = stands_for(says(a_service(), ServiceImport={WEB: known}))
    assert made is not None and made.spec.cluster_ips == kept


def two(web: str, other: str) -> Snapshot:
    """Both are exported, and the import `a` is older than `web`."""
    older = ObjectMeta("a", "team", OURS, creation_timestamp="2025-01-01T00:00:00Z")
    said = says(a_service(), ServiceImport={
        ("team", "a"): ServiceImport(older, ServiceImportSpec(ips=(other,))),
        WEB: an_import(web, created="2026-02-01T00:00:00Z"),
    })  # fmt: skip
    kinds: dict[str, Any] = {kind: dict(of) for kind, of in said.kinds.items()}
    meta = ObjectMeta("a", "team")
    kinds["Service"]["team", "a"] = msgspec.structs.replace(a_service(), metadata=meta)
    kinds["ServiceExport"]["team", "a"] = ServiceExport(meta)
    kinds["Namespace"]["team"] = Namespace(ObjectMeta("team"))
    return Snapshot(kinds, ())


def test_nobody_gets_anothers_address_by_writing_it_into_an_import() -> None:
    def kept(said: Snapshot) -> list[tuple[str, ...]]:
        found = imports.services(said, exports_of({"east": said}))
        return [found[key].spec.cluster_ips for key in (STANDS, ("team", "clusterset/a"))]

    web, own, free = "198.18.97.5", "198.18.97.6", "198.18.97.7"
    imports = Imports(RANGES)
    assert kept(two(web, own)) == [(web,), (own,)]
    assert kept(two(web, web)) == [(web,), ()], "whose it was, though the other is older"
    assert kept(two(web, web)) == [(web,), ()]
    assert kept(two(free, web)) == [(free,), (web,)], "what the API says of one's own is followed"
    imports = Imports(RANGES)
    assert kept(two(web, web)) == [(), ()], "whose it was is not known"


def test_another_controllers_import_is_left_alone_and_told_of() -> None:
    said = says(a_service(), ServiceImport={WEB: an_import("198.18.97.5", labels={})})
    assert stands_for(said) is None
    (refusal,) = foreign_imports(said, {WEB})
    assert str(refusal.ref) == "ServiceImport shop/web" and MANAGED_BY in refusal.reason
    assert not list(foreign_imports(said, set()))
    lost = (Refusal(ObjectRef("ServiceImport", "shop", "web"), "spec.ips: is no list"),)
    assert stands_for(says(a_service()), ours=Snapshot(says().kinds, lost)) is None
    before = Snapshot(says(ServiceImport={WEB: an_import()}).kinds, lost)
    assert stands_for(says(a_service()), ours=before) is not None, "what it said before holds"


def test_what_stays_is_the_same_object() -> None:
    imports, said = Imports(RANGES), says(a_service())
    labels = {"kubernetes.io/service-name": "web", SLICE_MANAGED_BY: "tulle.io"}
    one = EndpointSlice(ObjectMeta("web-1", "shop", labels), "IPv4")
    before = imports.services(said, exports_of({"east": said}))[STANDS]
    was = imports.slices(of_services({("shop", "web-1"): one}, {WEB}))
    assert was["shop", "clusterset/web-1"].metadata.labels == {
        "kubernetes.io/service-name": "clusterset/web"
    }, "it is not one that is written here"
    assert imports.services(said, exports_of({"east": said}))[STANDS] is before
    again = imports.slices([(("shop", "web-1"), one)])
    assert all(again[key] is item for key, item in was.items())
    assert not imports.slices(of_services({("shop", "web-1"): one}, set()))


@pytest.mark.parametrize(
    ("spec", "body"),
    [
        (
            {"cluster_ips": ("198.18.97.5",), "ports": (HTTP,)},
            {
                "type": "ClusterSetIP",
                "ips": ["198.18.97.5"],
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
                "sessionAffinity": "None",
            },
        ),
        (
            {"cluster_ip": "None", "session_affinity": "ClientIP"},
            {
                "type": "Headless",
                "ports": [],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            },
        ),
    ],
)
def test_the_api_is_told_of_the_import(spec: dict[str, Any], body: dict[str, Any]) -> None:
    given = {STANDS: Service(ObjectMeta("clusterset/web", "shop"), ServiceSpec(**spec))}
    made = imports_of({**given, WEB: a_service()})
    assert made.keys() == {WEB}
    said = body_of(made[WEB], "multicluster.x-k8s.io/v1alpha1")
    assert said["spec"] == body and said["metadata"]["labels"] == OURS
    read = msgspec.convert(said, ServiceImport)
    assert read.spec == made[WEB].spec, "what the API gives back needs no writing"
