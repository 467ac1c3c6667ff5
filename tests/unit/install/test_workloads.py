"""The pods of agents and operators."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from tulle.cli.options import node_options, up_options
from tulle.install.marks import Setting, settle
from tulle.install.values import chosen
from tulle.install.workloads import agents, cleaners, operator
from tulle.model.paths import NodePaths


def pod(node: Any, **given: Any) -> dict[str, Any]:
    made = settle(node, Setting(chosen(given), "mesh", "us", set()))
    template = made["spec"]["template"]
    wanted = made["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= template["metadata"]["labels"].items()
    spec: dict[str, Any] = template["spec"]
    return spec


def test_every_volume_is_mounted_and_every_mount_has_a_volume() -> None:
    for node in (agents(), operator()):
        spec = pod(node)
        containers = [*spec["containers"], *spec.get("initContainers", [])]
        mounted = {mount["name"] for item in containers for mount in item["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_what_the_agent_mounts_the_node_sees() -> None:
    (agent,) = pod(agents())["containers"]
    shared = {mount["name"]: mount["mountPropagation"] for mount in agent["volumeMounts"]}
    assert shared["bpffs"] == shared["state"] == "Bidirectional"


def test_the_operator_is_as_unprivileged_as_a_pod_can_be() -> None:
    spec = pod(operator())
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "hostNetwork" not in spec


@pytest.mark.parametrize(
    ("given", "arg"),
    [
        ({"cni.chained": True}, "--cni-chained"),
        ({"masquerade": False}, "--no-masquerade"),
        ({"clusterName": "east"}, "--cluster-name=east"),
        ({"noMasqueradeCidrs": ["10.0.0.0/8"]}, "--no-masquerade-cidr=10.0.0.0/8"),
        ({"apiServer": "https://api:6443"}, "--kubernetes-server=https://api:6443"),
        ({"agent.extraArgs": ["--node-label=a=b"]}, "--node-label=a=b"),
        ({"agent.hostCgroups": ["/x"]}, "--host-cgroup=/x"),
    ],
)
def test_what_is_chosen_is_an_option(given: dict[str, Any], arg: str) -> None:
    (usual,), (agent,) = pod(agents())["containers"], pod(agents(), **given)["containers"]
    assert arg in agent["args"]
    assert arg not in usual["args"]


def test_behind_another_plugin_that_one_decides_on_routes() -> None:
    given = {"cni.chained": True, "masquerade": False, "noMasqueradeCidrs": ["10.0.0.0/8"]}
    (agent,) = pod(agents(), **given)["containers"]
    named = ("--routing", "--load-balancing", "--no-masquerade")
    assert not [arg for arg in agent["args"] if arg.startswith(named)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"masquerade": False, "noMasqueradeCidrs": ["10.0.0.0/8", "fd00::/8"], "xdp": "generic"},
        {"apiServer": "https://10.0.0.1:6443", "uplink": "eth1", "gatewayCidrs": ["10.9.0.0/16"]},
    ],
)
def test_the_agent_understands_its_options(given: dict[str, Any]) -> None:
    (agent,) = pod(agents(), **given)["containers"]
    verb, *line = agent["args"]

    @click.command()
    @up_options()
    def command(**values: Any) -> None:
        options = node_options(NodePaths(), values)
        assert options.kubernetes is not None
        assert options.kubernetes.kubeconfig is None
        assert options.settings.routing == "vxlan"

    line = [word.replace("$(NODE_NAME)", "node-1") for word in line]
    done = CliRunner().invoke(command, line, catch_exceptions=False)
    assert (verb, done.exit_code) == ("up", 0), done.output


def test_nodes_are_cleaned_before_the_cleaner_is_ready() -> None:
    first, second = pod(cleaners())["initContainers"]
    assert first["args"][:2] == ["install-cni", "--remove"]
    assert second["args"] == ["down"]
    assert second["securityContext"] == {"privileged": True}
