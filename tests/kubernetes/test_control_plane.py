"""The control plane that other tests build on is a real one: it decides, keeps and forgets."""

from __future__ import annotations

import os
import subprocess

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.crds import definitions
from tests.kubernetes.known import define
from tulle.lab.cluster import Cluster


def config(name: str, **data: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_what_is_applied_is_kept_beyond_the_death_of_the_api_server(plane: ControlPlane) -> None:
    plane.kubectl.apply(config("kept", a="1"), manager="one")
    plane.kubectl.apply(config("kept", b="2"), manager="other")
    plane.kill_api()
    assert "kept" not in plane.kubectl("get", "configmaps", check=False)
    plane.start_api()
    kept = plane.kubectl.get("configmap", "kept", "default")
    assert kept is not None
    assert kept["data"] == {"a": "1", "b": "2"}
    plane.kubectl.delete(kept)
    assert plane.kubectl.get("configmap", "kept", "default") is None


def test_only_admins_may_do_all(plane: ControlPlane) -> None:
    stranger = plane.kubeconfig("stranger", "somebody")
    other = f"--kubeconfig={stranger}"
    answer = plane.kubectl("auth", "can-i", "get", "secrets", other, check=False)
    assert answer.startswith("no")
    assert plane.kubectl("auth", "can-i", "get", "secrets").strip() == "yes"


def test_definitions_are_accepted(plane: ControlPlane) -> None:
    define(plane)
    served = plane.kubectl("api-resources", "-o", "name", "--cached=false").split()
    assert {item["metadata"]["name"] for item in definitions()} <= set(served)


def test_hosts_of_a_lab_reach_it_before_and_after_another(plane: ControlPlane) -> None:
    for name in ("one", "two"):
        lab = Cluster(f"kube-{os.getpid()}-{name}")
        plane.connect(lab)
        line = ["nsenter", f"--net={lab.fabric}", "curl", "-sk", "--noproxy", "*"]
        done = subprocess.run([*line, f"{plane.server}/readyz"], capture_output=True, timeout=10)
        assert done.stdout == b"ok"
        plane.disconnect()
        assert not lab.directory.exists()
