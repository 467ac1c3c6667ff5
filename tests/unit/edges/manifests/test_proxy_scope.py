"""What of proxy scopes is taken, and the reason with its place for what is not."""

from __future__ import annotations

import pytest

from tulle.edges.manifests import parse

KINDS = {
    "Namespace": ("v1", ""),
    "Service": ("v1", "spec: {ports: [{port: 80}]}"),
    "Gateway": (
        "gateway.networking.k8s.io/v1",
        "spec: {gatewayClassName: tulle, listeners: [{name: a, port: 80, protocol: HTTP}]}",
    ),
    "ConfigMap": ("v1", ""),
}
SCOPE, MEMORY = "tulle.io/proxy-scope", "tulle.io/proxy-memory"


def said(kind: str, annotations: dict[str, str], labels: dict[str, str] | None = None) -> str:
    """The error, "" if there is none."""
    version, spec = KINDS[kind]
    texts = {"annotations": annotations, "labels": labels or {}}
    lines = [f"apiVersion: {version}", f"kind: {kind}", "metadata:", "  name: a"]
    for name, items in texts.items():
        lines += [f"  {name}:", *(f'    {key}: "{text}"' for key, text in items.items())] * bool(
            items
        )
    parsed = parse("\n".join([*lines, spec, ""]).encode(), "a.yaml")
    return "".join(str(bad.error) for bad in parsed.errors)


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        ("Namespace", "namespace"),
        ("Namespace", "node"),
        ("Gateway", "workload"),
        ("Gateway", "node"),
        ("Service", "workload"),
        ("Service", "node"),
    ],
)
def test_taken(kind: str, scope: str) -> None:
    assert said(kind, {SCOPE: scope}) == ""
    assert said(kind, {}, {SCOPE: scope}) == ""
    assert said(kind, {SCOPE: scope}, {SCOPE: scope}) == ""
    memory = said(kind, {SCOPE: scope, MEMORY: "256Mi"})
    assert ("is for a proxy of its own" in memory) == (scope == "node")


@pytest.mark.parametrize(
    ("kind", "annotations", "labels", "line", "reason"),
    [
        ("Namespace", {SCOPE: "workload"}, {}, 6, '"workload" must be "node" or "namespace" on a'),
        ("Gateway", {SCOPE: "namespace"}, {}, 6, '"namespace" must be "node" or "workload" on a'),
        ("Service", {SCOPE: ""}, {}, 6, '"" must be "node" or "workload" on a Service'),
        ("Service", {}, {SCOPE: "pod"}, 6, '"pod" must be "node" or "workload" on a Service'),
        ("ConfigMap", {SCOPE: "node"}, {}, 6, "means nothing on a ConfigMap"),
        ("ConfigMap", {}, {SCOPE: "node"}, 6, "means nothing on a ConfigMap"),
        ("ConfigMap", {MEMORY: "1Gi"}, {}, 6, "means nothing on a ConfigMap"),
        ("Service", {SCOPE: "node"}, {SCOPE: "workload"}, 6, 'what the label says, "workload"'),
        ("Namespace", {MEMORY: "1Gi"}, {}, 6, 'tulle.io/proxy-scope must be "namespace"'),
        ("Service", {SCOPE: "workload", MEMORY: "1Gb"}, {}, 7, '"1Gb" is no quantity'),
        ("Service", {SCOPE: "workload", MEMORY: "1Mi"}, {}, 7, '"1Mi" must be 64Mi at least'),
        ("Service", {SCOPE: "workload", MEMORY: "10E"}, {}, 7, "and below 8Ei"),
        ("Service", {}, {SCOPE: "workload", MEMORY: "1Gi"}, 7, "is read as an annotation only"),
    ],
)
def test_refused(
    kind: str, annotations: dict[str, str], labels: dict[str, str], line: int, reason: str
) -> None:
    found = said(kind, annotations, labels)
    assert reason in found
    assert found.startswith(f"a.yaml:{line}:") and '["tulle.io/proxy-' in found
