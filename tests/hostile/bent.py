"""Valid manifests with one field made wrong: the table, and the bending."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from .valid import NAMESPACE, POD, POLICY, SERVICE, SLICE

GONE = object()  # the field is left out

_META_NAMES = ("", "Web", "web_1", "-web", "a" * 254, "../../etc/passwd", "web\n", 7, True, [], {})
_LABEL_MAPS = (
    {"app": 1},
    {"app": True},
    {"app": None},
    {"app": 1.5},
    {"app": ["web"]},
    {"app": "not ok"},
    {"app": "a" * 64},
    {"": "web"},
    {"a/b/c": "web"},
    {"UPPER.io/x": "web"},
    {"-app": "web"},
    {"a" * 64: "web"},
    "app=web",
    ["app"],
    3,
)
_SELECTORS = (
    "app=web",
    [],
    {"app": "web"},
    {"matchLabels": "app"},
    {"matchLabels": {"app": 1}},
    {"matchLabels": {"app": "b d"}},
    {"matchExpressions": {}},
    {"matchExpressions": [{"key": "a", "operator": "In"}]},
    {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": []}]},
    {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
    {"matchExpressions": [{"key": "a", "operator": "DoesNotExist", "values": ["b"]}]},
    {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]},
    {"matchExpressions": [{"key": "", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "a b", "operator": "Exists"}]},
    {"matchExpressions": [{"operator": "Exists"}]},
    {"matchExpressions": [{"key": "a"}]},
    {"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]},
    {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]},
    {"matchExpressions": [None]},
)
_PORTS = (0, -1, 65536, 2**63 - 1, 1.5, True, [], {})
_PORT_NAMES = ("", "a" * 16, "Http", "80", "a--b", "-a", "a_b")
_CIDRS = (
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/255.0.0.0",
    "10.0.0/8",
    "256.0.0.0/8",
    "010.0.0.0/8",
    "fd00::/129",
    "fe80::%eth0/64",
    "::ffff:10.0.0.0/104",
    "",
    "all",
    8,
    ["10.0.0.0/8"],
)
_ADDRESSES = ("127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "255.255.255.255")  # noqa: S104
_NOT_ADDRESSES = ("", "10.0.0.1/32", "1.2.3", "1.2.3.256", "web.example.org", 167772161, None)

# base, path, values of which each alone makes the manifest wrong
_TABLE: tuple[tuple[dict[str, Any], str, tuple[Any, ...]], ...] = (
    (SERVICE, "apiVersion", (GONE, "v2", "", 1, None, ["v1"])),
    (SERVICE, "kind", (GONE, "Serivce", "service", "List", "", 1, {})),
    (SERVICE, "metadata", (GONE, None, [], "web", {})),
    (SERVICE, "metadata.name", (GONE, None, *_META_NAMES)),
    (SERVICE, "metadata.namespace", ("Shop", "a.b", "a" * 64, 7, ["shop"])),
    (SERVICE, "metadata.labels", _LABEL_MAPS),
    (SERVICE, "metadata.annotations", ({"a b": "x"}, {"a": 1}, {"tulle.io/weight": "1"}, [])),
    (SERVICE, "metadata.annotations", ({"a": "x" * (257 << 10)},)),
    (SERVICE, "spec", (GONE, None, [], "x", {})),
    (SERVICE, "spec.type", ("NodePort", "LoadBalancer", "ExternalName", "clusterip", 1)),
    (SERVICE, "spec.clusterIP", (*_NOT_ADDRESSES[1:6], "10.96.0.11", "None", *_ADDRESSES)),
    (SERVICE, "spec.clusterIPs", (["10.96.0.10", "10.96.0.11"], ["None", "10.96.0.10"], "x")),
    (SERVICE, "spec.ipFamilies", (["IPv6"], ["IPv6", "IPv4"], ["IPv4", "IPv4"], ["IPv5"], "IPv4")),
    (SERVICE, "spec.ipFamilyPolicy", ("SingleStack", "DualStack", 2)),
    (SERVICE, "spec.selector", _LABEL_MAPS),
    (SERVICE, "spec.sessionAffinity", ("None", "Cookie", True)),
    (SERVICE, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", (0, -1, 86401, "60", 1.5)),
    (SERVICE, "spec.internalTrafficPolicy", ("Local", "cluster")),
    (SERVICE, "spec.externalTrafficPolicy", ("Local",)),
    (SERVICE, "spec.externalIPs", (["1.2.3.4"],)),
    (SERVICE, "spec.externalName", ("example.org",)),
    (SERVICE, "spec.loadBalancerIP", ("1.2.3.4",)),
    (SERVICE, "spec.loadBalancerSourceRanges", (["10.0.0.0/8"],)),
    (SERVICE, "spec.trafficDistribution", ("PreferClose",)),
    (SERVICE, "spec.healthCheckNodePort", (30000,)),
    (SERVICE, "spec.publishNotReadyAddresses", ("true", 1, "yes")),
    (SERVICE, "spec.port", (80,)),
    (SERVICE, "spec.ports", (GONE, [], {}, "80", [80], [None])),
    (SERVICE, "spec.ports.0.port", (GONE, None, "80", *_PORTS)),
    (SERVICE, "spec.ports.0.targetPort", (*_PORTS, *_PORT_NAMES)),
    (SERVICE, "spec.ports.0.name", (GONE, "dns", "Http", "a.b", "a" * 64, 80)),
    (SERVICE, "spec.ports.0.protocol", ("tcp", "SCTP", "ICMP", 6)),
    (SERVICE, "spec.ports.0.nodePort", (30080,)),
    (SERVICE, "spec.ports.1", ({"name": "again", "port": 80},)),
    (POLICY, "metadata.name", _META_NAMES),
    (POLICY, "metadata.annotations", ({"tulle.io/audit": "yes"},)),
    (POLICY, "spec.podSelector", (GONE, None, *_SELECTORS)),
    (POLICY, "spec.policyTypes", (None, "Ingress", ["ingress"], ["Ingress", "Ingress"], [1])),
    (POLICY, "spec.ingress", (None, {}, "all", [None], ["all"], [{"form": []}])),
    (POLICY, "spec.ingress.0.from", (None, {}, [None], [{}], ["web"])),
    (POLICY, "spec.ingress.0.from.0.podSelector", (None, *_SELECTORS)),
    (POLICY, "spec.ingress.0.from.0.ipBlock", ({"cidr": "10.0.0.0/8"}, {})),
    (POLICY, "spec.ingress.0.from.1.namespaceSelector", (None, *_SELECTORS)),
    (POLICY, "spec.ingress.0.from.2.ipBlock", (None, {}, "10.0.0.0/8")),
    (POLICY, "spec.ingress.0.from.2.ipBlock.cidr", (GONE, None, *_CIDRS, "192.168.0.0/16")),
    (
        POLICY,
        "spec.ingress.0.from.2.ipBlock.except",
        ("10.1.0.0/16", ["10.0.0.0/8"], ["0.0.0.0/0"]),
    ),
    (POLICY, "spec.ingress.0.from.2.ipBlock.except", (["fd00::/64"], ["11.0.0.0/16"], [""], [1])),
    (POLICY, "spec.ingress.0.ports", (None, {}, 80, [80], [None])),
    (POLICY, "spec.ingress.0.ports.0.port", (GONE, None, 9000, "http", *_PORTS)),
    (POLICY, "spec.ingress.0.ports.0.endPort", (7999, "8999", *_PORTS)),
    (POLICY, "spec.ingress.0.ports.1.port", _PORT_NAMES),
    (POLICY, "spec.ingress.0.ports.0.protocol", ("Tcp", "ANY", None, 6)),
    (POLICY, "spec.egress.0.to", ([{}], [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}])),
    (POLICY, "spec.egress.0.from", ([],)),
    (POD, "metadata.name", (*_META_NAMES, "a.b", "a" * 64)),
    (POD, "metadata.annotations", ({"tulle.io/wieght": "1"},)),
    (POD, "metadata.annotations", tuple({"tulle.io/weight": w} for w in ("-1", "65536", "1.5"))),
    (POD, "metadata.annotations", tuple({"tulle.io/weight": w} for w in ("", "01", "9" * 99, 3))),
    (POD, "spec.containers", (GONE, None, [], {}, [None], ["nginx"])),
    (POD, "spec.containers.0.name", (GONE, "", "Web", "a.b", 1)),
    (POD, "spec.containers.0", ({"name": "web", "image": "nginx"},)),
    (POD, "spec.containers.0.command", ("nginx -g", [""], [1], ["a", None], {"a": "b"})),
    (POD, "spec.containers.0.args", ("8080", [8080])),
    (
        POD,
        "spec.containers.0.env",
        ([{"name": ""}], [{"name": "A=B"}], [{"name": "A", "value": 1}]),
    ),
    (POD, "spec.containers.0.env", ({"A": "b"}, [{"name": "A", "valueFrom": {}}])),
    (POD, "spec.containers.0.ports.0.containerPort", (GONE, "8080", *_PORTS)),
    (POD, "spec.containers.0.ports.0.name", _PORT_NAMES[1:]),
    (POD, "spec.containers.0.ports.0.hostPort", (80,)),
    (POD, "spec.containers.0.ports.0.hostIP", ("10.0.0.1",)),
    (POD, "spec.containers.0.ports", ([{"name": "x", "containerPort": n} for n in (1, 2)],)),
    (POD, "spec.containers.0.readinessProbe", ({}, {"httpGet": {"port": 80}}, {"grpc": {}})),
    (POD, "spec.containers.0.readinessProbe.exec", ({"command": ["true"]},)),
    (POD, "spec.containers.0.readinessProbe.tcpSocket", (None, {}, {"port": "nope"}, {"port": 0})),
    (POD, "spec.containers.0.readinessProbe.tcpSocket.host", ("10.0.0.1",)),
    (POD, "spec.containers.0.readinessProbe.periodSeconds", (0, -1, 2**31, "2", 0.5)),
    (POD, "spec.containers.0.volumeMounts", ([{"name": "v", "mountPath": "/"}],)),
    (POD, "spec.containers.0.securityContext", ({"runAsUser": 1000},)),
    (POD, "spec.containers.0.lifecycle", ({"preStop": {}},)),
    (POD, "spec.initContainers", ([{"name": "i", "command": ["true"]}],)),
    (POD, "spec.volumes", ([{"name": "v", "emptyDir": {}}],)),
    (POD, "spec.securityContext", ({"runAsNonRoot": True},)),
    (POD, "spec.hostNetwork", (True,)),
    (POD, "spec.hostname", ("Web", "a.b", 1)),
    (POD, "spec.restartPolicy", ("always", True)),
    (POD, "spec.terminationGracePeriodSeconds", (-1, 2**31, "5")),
    (SLICE, "metadata.labels", (GONE, {}, {"kubernetes.io/service-name": ""})),
    (SLICE, "metadata.labels", ({"kubernetes.io/service-name": "Not_A_Service"},)),
    (SLICE, "addressType", (GONE, "IPv6", "FQDN", "ipv4", 4)),
    (SLICE, "endpoints", ({}, [None], ["10.1.2.3"], [{"addresses": ["10.0.0.1"]}] * 1001)),
    (SLICE, "endpoints.0.addresses", (GONE, [], "10.1.2.3", ["fd00::1"], ["10.0.0.1"] * 101)),
    (SLICE, "endpoints.0.addresses.0", (*_ADDRESSES, *_NOT_ADDRESSES)),
    (SLICE, "endpoints.0.addresses.0", ("::1", "fe80::1", "ff02::1", "::", "::ffff:10.0.0.1")),
    (SLICE, "endpoints.0.conditions.ready", ("yes", 1)),
    (SLICE, "ports.0.port", (GONE, None, "5432", *_PORTS)),
    (SLICE, "ports.0.name", ("SQL", "a.b", 5432)),
    (SLICE, "ports.0.protocol", ("SCTP", "tcp")),
    (
        SLICE,
        "ports",
        ({}, [{"port": 1}, {"port": 2}], [{"name": str(n), "port": 1} for n in range(101)]),
    ),
    (SLICE, "spec", ({},)),
    (NAMESPACE, "metadata.name", (*_META_NAMES, "a.b", "a" * 64)),
    (NAMESPACE, "metadata.namespace", ("shop",)),
    (NAMESPACE, "metadata.labels", _LABEL_MAPS),
    (NAMESPACE, "metadata.zone", ("a",)),
)


def bent_manifests() -> Iterator[tuple[str, bytes]]:
    """Name and JSON of every row of the table."""
    for number, (base, path, values) in enumerate(_TABLE):
        for index, value in enumerate(values):
            name = f"{base['kind']}:{path}#{number}.{index}"
            yield name, json.dumps(_bend(base, path, value), indent=1).encode()


def _bend(base: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    bent = copy.deepcopy(base)
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    where: Any = bent
    for step in parents:
        where = where.setdefault(step, {}) if isinstance(where, dict) else where[step]
    if value is GONE:
        del where[last]
    else:
        where[last] = value
    return bent
