"""Rules of core/v1 Pod, whose containers are processes of a plain host."""

from __future__ import annotations

import re
from ipaddress import ip_address

from tulle.model.kubernetes import WEIGHT_ANNOTATION, Container, ContainerPort, Pod, Probe

from .fields import FieldError, Path, quote, show_path
from .syntax import INT32_MAX, check_absent, check_dns_label, check_dns_subdomain, check_port_name

_WEIGHT = re.compile(r"0|[1-9][0-9]{0,4}")
_WEIGHT_MAX = 65535
_POD_UNSUPPORTED = {
    "init_containers": "initContainers",
    "volumes": "volumes",
    "security_context": "securityContext",
}
_CONTAINER_UNSUPPORTED = {
    "volume_mounts": "volumeMounts",
    "security_context": "securityContext",
    "lifecycle": "lifecycle",
}
_PROBE_UNSUPPORTED = {"http_get": "httpGet", "exec": "exec", "grpc": "grpc"}
# Lowest value of each whole number, by Kubernetes' rules.
_PROBE_NUMBERS = {
    "initial_delay_seconds": ("initialDelaySeconds", 0),
    "period_seconds": ("periodSeconds", 1),
    "timeout_seconds": ("timeoutSeconds", 1),
    "success_threshold": ("successThreshold", 1),
    "failure_threshold": ("failureThreshold", 1),
}


def weight_of(text: str) -> int:
    """Of the annotation. Raises FieldError."""
    if not _WEIGHT.fullmatch(text) or int(text) > _WEIGHT_MAX:
        reason = f"{quote(text)} must be a whole number from 0 to {_WEIGHT_MAX}"
        raise FieldError(reason, "metadata", "annotations", WEIGHT_ANNOTATION)
    return int(text)


def validate_pod(pod: Pod) -> Pod:
    spec = pod.spec
    check_absent(spec, _POD_UNSUPPORTED, "spec")
    weight_of(pod.metadata.annotations.get(WEIGHT_ANNOTATION, "1"))
    if spec.hostname:
        check_dns_label(spec.hostname, "spec", "hostname")
    if spec.service_account_name:
        check_dns_subdomain(spec.service_account_name, "spec", "serviceAccountName")
    grace = spec.termination_grace_period_seconds
    _check_number(grace, 0, "spec", "terminationGracePeriodSeconds")
    names: dict[str, int] = {}
    ports: dict[str, int] = {}
    on_host: dict[tuple[str, int, str], Path] = {}
    for index, container in enumerate(spec.containers):
        path = ("spec", "containers", index)
        check_dns_label(container.name, *path, "name")
        if index != (first := names.setdefault(container.name, index)):
            raise FieldError(f"is the same as that of containers[{first}]", *path, "name")
        _check_container(container, *path)
        for position, port in enumerate(container.ports):
            _check_port(port, ports, on_host, *path, "ports", position)
    return pod


def _check_container(container: Container, *path: str | int) -> None:
    check_absent(container, _CONTAINER_UNSUPPORTED, *path)
    words = (*container.command, *container.args)
    if not words:
        raise FieldError("is required: a plain host has no image to run", *path, "command")
    if not words[0]:
        name = "command" if container.command else "args"
        raise FieldError("must not be empty: it names the program", *path, name, 0)
    for index, variable in enumerate(container.env):
        if not variable.name or "=" in variable.name or not variable.name.isprintable():
            reason = f"{quote(variable.name)} cannot name an environment variable"
            raise FieldError(reason, *path, "env", index, "name")
    if container.readiness_probe:
        _check_probe(container.readiness_probe, container, *path, "readinessProbe")


def _check_port(
    port: ContainerPort,
    names: dict[str, int],
    on_host: dict[tuple[str, int, str], Path],
    *path: str | int,
) -> None:
    _check_host_port(port, on_host, *path)
    if not port.name:
        return
    check_port_name(port.name, *path, "name")
    if port.name in names:
        raise FieldError(f"{quote(port.name)} names port {names[port.name]} already", *path, "name")
    names[port.name] = port.container_port


def _check_host_port(
    port: ContainerPort, seen: dict[tuple[str, int, str], Path], *path: str | int
) -> None:
    """`hostIP` may be any address that a host can listen on, so also the unspecified one."""
    if port.host_ip:
        try:
            address = ip_address(port.host_ip)
        except ValueError:
            reason = f"{quote(port.host_ip)} is not an IP address"
            raise FieldError(reason, *path, "hostIP") from None
        if str(address) != port.host_ip:
            raise FieldError(f"must be written as {address}", *path, "hostIP")
        if port.host_port is None:
            raise FieldError("needs a hostPort", *path, "hostIP")
    if port.host_port is None:
        return
    if port.protocol == "SCTP":
        raise FieldError("SCTP is not supported yet, TCP and UDP are", *path, "protocol")
    place = port.host_ip, port.host_port, port.protocol
    if path != (first := seen.setdefault(place, path)):
        raise FieldError(f"is the same as that of {show_path(first)}", *path, "hostPort")


def _check_probe(probe: Probe, container: Container, *path: str | int) -> None:
    for attribute, name in _PROBE_UNSUPPORTED.items():
        if getattr(probe, attribute) is not None:
            raise FieldError("is not supported yet, tcpSocket is", *path, name)
    if probe.tcp_socket is None:
        raise FieldError("is required", *path, "tcpSocket")
    for attribute, (name, lowest) in _PROBE_NUMBERS.items():
        _check_number(getattr(probe, attribute), lowest, *path, name)
    if probe.tcp_socket.host:
        reason = "is not supported yet: the pod's own address is probed"
        raise FieldError(reason, *path, "tcpSocket", "host")
    port = probe.tcp_socket.port
    if isinstance(port, str) and port not in {own.name for own in container.ports if own.name}:
        reason = f"{quote(port)} is not the name of one of the container's ports"
        raise FieldError(reason, *path, "tcpSocket", "port")


def _check_number(value: int, lowest: int, *path: str | int) -> None:
    if not lowest <= value <= INT32_MAX:
        raise FieldError(f"must be from {lowest} to {INT32_MAX}", *path)
