"""The chart comes to the same objects as the manifests, whatever is chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tulle.install.helm import chart, values_file
from tulle.install.marks import Setting, several
from tulle.install.objects import parts
from tulle.install.values import VALUES, chosen, defaults, flat

from .render import Chart

CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"cni.chained": True, "cni.binDir": '/a"b'},
    {"secretNamespaces": ["shop", "bank"]},
    {"masquerade": False, "noMasqueradeCidrs": ["10.0.0.0/8", "fd00::/8"]},
    {"apiServer": "https://api.example:6443", "uplink": "eth1", "image.tag": "1.10"},
    {"clusterName": "east"},
    {"crds.install": False, "classes.create": False},
    {"agent.extraArgs": ["--a={{b}}", "- c: d"], "agent.hostCgroups": []},
    {"agent.nodeSelector": {"mesh": "yes"}, "operator.tolerations": [{"operator": "Exists"}]},
)


@pytest.mark.parametrize("apis", [set(), {"policy/v1", "gateway.networking.k8s.io/v1"}])
@pytest.mark.parametrize("given", CHOICES, ids=lambda given: ",".join(given) or "defaults")
def test_chart_and_manifests_are_the_same(given: dict[str, Any], apis: set[str]) -> None:
    values = chosen(given)
    files = chart(parts())
    setting = Setting(values, "mesh", "Helm", apis)
    for name, nodes in parts().items():
        wanted = [obj for node in nodes for obj in several(node, setting)]
        assert Chart(values, "mesh", apis).objects(files[f"templates/{name}.yaml"]) == wanted


def test_values_file_says_the_defaults_and_each_has_its_line() -> None:
    tree = yaml.safe_load(values_file())
    assert flat(tree) == defaults()
    assert len(VALUES) == len(flat(tree))


def test_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads(chart({})["values.schema.json"])
    assert schema["additionalProperties"] is False
    for value in VALUES:
        where = schema
        for step in value.path.split("."):
            where = where["properties"][step]
        assert where["type"]


def test_what_helm_would_read_as_a_template_is_no_text() -> None:
    with pytest.raises(ValueError, match="cannot stand in a chart"):
        chart({"x": ({"kind": "{{ .Values.a }}"},)})
