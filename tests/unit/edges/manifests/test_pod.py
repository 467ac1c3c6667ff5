from typing import Any

import pytest

from tulle.edges.manifests.pod import validate_pod
from tulle.errors import ManifestError
from tulle.model.kubernetes import (
    WEIGHT_ANNOTATION,
    Container,
    ContainerPort,
    EnvVar,
    ObjectMeta,
    Pod,
    PodSpec,
    Probe,
    TCPSocketAction,
)

HTTP = ContainerPort(8080, "http")
PROBE = Probe(tcp_socket=TCPSocketAction("http"))


def container(**fields: Any) -> Container:
    return Container(**{"name": "web", "command": ("nginx",), "ports": (HTTP,), **fields})


def checked(*containers: Container, weight: str = "1", **spec: Any) -> Pod:
    metadata = ObjectMeta("web-1", "shop", annotations={WEIGHT_ANNOTATION: weight})
    return validate_pod(Pod(metadata, PodSpec(containers or (container(),), **spec)))


@pytest.mark.parametrize("weight", ["0", "1", "65535"])
def test_weights(weight: str) -> None:
    checked(weight=weight)


@pytest.mark.parametrize("weight", ["", "-1", "01", "1.0", "65536", "many", "1 ", "٣"])
def test_not_weights(weight: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(weight=weight)
    assert caught.value.field == f'metadata.annotations["{WEIGHT_ANNOTATION}"]'


def test_what_is_harmless_to_ignore_is_accepted() -> None:
    checked(
        container(
            image="nginx:1.22",
            args=("-g", "daemon off;"),
            resources={"limits": {"memory": "1Gi"}},
            liveness_probe={"httpGet": {"port": 80}},
            readiness_probe=PROBE,
            env=(EnvVar("A", "b"), EnvVar("A", "c")),
        ),
        node_selector={"disk": "fast"},
        security_context={},
    )
    checked(container(command=(), args=("nginx",)))


def test_one_host_port_may_serve_two_protocols_and_two_addresses() -> None:
    ports = (
        ContainerPort(53, host_port=53),
        ContainerPort(53, protocol="UDP", host_port=53),
        ContainerPort(54, host_port=53, host_ip="10.0.0.1"),
        ContainerPort(55, host_port=53, host_ip="::"),
    )
    checked(container(ports=ports))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"command": ()}, "command"),
        ({"command": ("",)}, "command[0]"),
        ({"command": (), "args": ("",)}, "args[0]"),
        ({"name": "a.b"}, "name"),
        ({"env": (EnvVar("A=B"),)}, "env[0].name"),
        ({"ports": (HTTP, ContainerPort(81, "http"))}, "ports[1].name"),
        ({"ports": (ContainerPort(81, "Http"),)}, "ports[0].name"),
        ({"ports": (ContainerPort(81, host_ip="web", host_port=80),)}, "ports[0].hostIP"),
        ({"ports": (ContainerPort(81, host_ip="FD00::1", host_port=80),)}, "ports[0].hostIP"),
        ({"ports": (ContainerPort(81, host_ip="10.0.0.1"),)}, "ports[0].hostIP"),
        ({"ports": (ContainerPort(81, "", "SCTP", 80),)}, "ports[0].protocol"),
        (
            {"ports": (ContainerPort(1, host_port=80), ContainerPort(2, host_port=80))},
            "ports[1].hostPort",
        ),
        ({"volume_mounts": [{}]}, "volumeMounts"),
        ({"security_context": {"runAsUser": 1}}, "securityContext"),
        ({"lifecycle": {"preStop": {}}}, "lifecycle"),
        ({"readiness_probe": Probe()}, "readinessProbe.tcpSocket"),
        ({"readiness_probe": Probe(http_get={})}, "readinessProbe.httpGet"),
        (
            {"readiness_probe": Probe(tcp_socket=TCPSocketAction("x"))},
            "readinessProbe.tcpSocket.port",
        ),
        (
            {"readiness_probe": Probe(tcp_socket=TCPSocketAction(80, "10.0.0.1"))},
            "readinessProbe.tcpSocket.host",
        ),
        (
            {"readiness_probe": Probe(tcp_socket=TCPSocketAction(80), period_seconds=0)},
            "readinessProbe.periodSeconds",
        ),
    ],
)
def test_containers_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(container(**fields))
    assert caught.value.field == f"spec.containers[0].{field}"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"init_containers": [{}]}, "spec.initContainers"),
        ({"volumes": [{}]}, "spec.volumes"),
        ({"security_context": {"runAsNonRoot": True}}, "spec.securityContext"),
        ({"hostname": "A"}, "spec.hostname"),
        ({"service_account_name": "a;k8s:app=b"}, "spec.serviceAccountName"),
        ({"termination_grace_period_seconds": -1}, "spec.terminationGracePeriodSeconds"),
    ],
)
def test_pods_refused(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        checked(**spec)
    assert caught.value.field == field


def test_names_are_unique_in_the_pod() -> None:
    with pytest.raises(ManifestError) as caught:
        checked(container(), container())
    assert caught.value.field == "spec.containers[1].name"
    with pytest.raises(ManifestError) as caught:
        checked(container(), container(name="other"))
    assert caught.value.field == "spec.containers[1].ports[0].name"
