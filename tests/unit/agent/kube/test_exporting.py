"""What the API is told of exports and imports."""

from __future__ import annotations

from typing import Any

from tests.unit.agent.kube.test_clusterset import LATER, WEB, a_service, an_import, says
from tulle.agent.kube.clusterset import exports_of
from tulle.agent.kube.exporting import of_clusterset
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import Service, ServicePort
from tulle.model.multicluster import ClusterSet


def told(*clusters: Snapshot, whole: bool = True, **services: Service) -> dict[str, Any]:
    """Of the first, by object."""
    exports = exports_of({f"c{number}": item for number, item in enumerate(clusters)})
    snapshot = Snapshot(clusters[0].kinds, (), clusterset=ClusterSet(exports, whole))
    given = {("shop", f"clusterset/{name}"): service for name, service in services.items()}
    return {str(ref): status for ref, status in of_clusterset(snapshot, given)}


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def test_exports_and_imports_have_their_status() -> None:
    ours = says(a_service(), ServiceImport={WEB: an_import()})
    found = told(ours, says(a_service(ServicePort(81, "http")), LATER))
    assert found["ServiceImport shop/web"] == {"clusters": [{"cluster": "c0"}, {"cluster": "c1"}]}
    said = found["ServiceExport shop/web"]
    assert conditions(said) == {
        "Valid": ("True", "Valid"),
        "Ready": ("True", "Ready"),
        "Conflict": ("True", "PortConflict"),
    }
    assert {item["observedGeneration"] for item in said["conditions"]} == {3}
    assert conditions(told(ours)["ServiceExport shop/web"])["Conflict"] == ("False", "NoConflicts")
    lone = conditions(told(says(), says(a_service()))["ServiceExport shop/web"])
    assert (lone["Valid"], lone["Ready"]) == (("False", "NoService"), ("False", "Pending"))


def test_an_export_whose_import_has_no_address_is_not_ready() -> None:
    ours = says(a_service())
    for spec, ready in (
        ({"cluster_ip": ""}, ("False", "NoAddress")),
        ({"cluster_ip": "198.18.97.5", "cluster_ips": ("198.18.97.5",)}, ("True", "Ready")),
        ({"cluster_ip": "None"}, ("True", "Ready")),
    ):
        (said,) = told(ours, web=a_service(**spec)).values()
        assert conditions(said)["Ready"] == ready
        words = {item["type"]: item["message"] for item in said["conditions"]}
        assert ("gatewayCidrs" in words["Ready"]) == (ready[0] == "False")


def test_nothing_is_said_before_all_clusters_have_spoken() -> None:
    assert not told(says(a_service()), whole=False)
