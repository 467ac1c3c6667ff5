"""Options of `tulle up`: what they mean, and that they survive being passed on."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tulle.agent.options import KubernetesOptions, NodeOptions
from tulle.cli.options import OF_A_CLUSTER, OF_A_LAB, node_options, up_options, words
from tulle.errors import Refused, UsageError
from tulle.model.paths import NodePaths
from tulle.model.world import Settings

LINE = [
    *("--pod-cidr", "10.1.0.0/24", "--pod-cidr", "fd00:1::/64"),
    *("--service-cidr", "10.2.0.0/16"),
    *("--routing", "vxlan", "--load-balancing", "dsr"),
    *("--no-masquerade", "--no-masquerade-cidr", "192.0.2.0/24"),
    *("--node-label", "zone=a=b", "--node-label", "rack="),
    *("--cluster-dir", "/srv/mesh", "--node-name", "n.example"),
    *("--uplink", "eth7", "--host-cgroup", "/sys/fs/cgroup/system.slice"),
]


def parsed(*line: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.command()
    @up_options()
    def command(**values: Any) -> None:
        found.update(values)

    result = CliRunner().invoke(command, list(line))
    assert result.exit_code == 0, result.output
    return found


def test_every_option_can_be_passed_on() -> None:
    values = parsed(*LINE)
    assert words(values) == LINE
    assert parsed(*words(values)) == values
    assert words(parsed()) == []
    assert set(OF_A_CLUSTER) < set(OF_A_LAB)
    assert "--cluster-dir" not in words(values, OF_A_LAB)


def test_every_option_means_something() -> None:
    assert node_options(NodePaths(), parsed(*LINE)) == NodeOptions(
        name="n.example",
        pod_cidrs=(ip_network("10.1.0.0/24"), ip_network("fd00:1::/64")),
        service_cidrs=(ip_network("10.2.0.0/16"),),
        labels={"zone": "a=b", "rack": ""},
        cluster=Path("/srv/mesh"),
        uplink="eth7",
        host_cgroups=(Path("/sys/fs/cgroup/system.slice"),),
        settings=Settings(
            routing="vxlan",
            load_balancing="dsr",
            masquerade=False,
            no_masquerade=(ip_network("192.0.2.0/24"),),
        ),
    )


def test_without_options_a_node_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert node_options(NodePaths(), parsed()) == NodeOptions()
    assert node_options(NodePaths("a"), parsed()).name == "a"
    monkeypatch.setattr(socket, "gethostname", lambda: "Host-7")
    assert node_options(NodePaths(), parsed("--cluster-dir", "/srv")).name == "host-7"
    assert node_options(NodePaths("a"), parsed("--cluster-dir", "/srv")).name == "a"


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(Refused, match="node name"):
        node_options(NodePaths(), parsed("--node-name", "../x"))


def test_behind_another_plugin_addresses_and_routes_are_not_ours_to_choose() -> None:
    found = node_options(NodePaths(), parsed("--cni-chained"))
    assert (found.pod_cidrs, found.settings) == ((), Settings(masquerade=False, chained=True))
    assert "--cni-chained" in words(parsed("--cni-chained"), OF_A_CLUSTER)
    for line in (LINE[:2], LINE[6:8], LINE[8:10], LINE[10:11], LINE[11:13]):
        with pytest.raises(UsageError, match=f"{line[0]}: with --cni-chained"):
            node_options(NodePaths(), parsed("--cni-chained", *line))


def test_a_kubeconfig_is_passed_on_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    passed_on = words(parsed("--kubernetes", "admin.conf"), OF_A_CLUSTER)
    assert passed_on == ["--kubernetes", str(tmp_path / "admin.conf")]
    assert words(parsed("--kubernetes", "in-pod"), OF_A_CLUSTER) == ["--kubernetes", "in-pod"]


def test_a_node_of_kubernetes_has_what_the_api_server_says() -> None:
    line = ("--kubernetes", "/etc/kube.conf", "--kubernetes-server", "https://192.0.2.1")
    found = node_options(NodePaths(), parsed(*line, "--duties"))
    assert found.kubernetes == KubernetesOptions(Path("/etc/kube.conf"), "https://192.0.2.1", True)
    assert found.name == socket.gethostname().lower()
    assert found.pod_cidrs == () and found.settings.endpoints == "listed"
    assert not any(item in NodeOptions().service_cidrs for item in found.service_cidrs)
    beside = node_options(NodePaths(), parsed(*line, "--join", "--pod-cidr", "10.1.0.0/24"))
    assert beside.kubernetes and beside.kubernetes.joins
    inside = node_options(NodePaths(), parsed("--kubernetes", "in-pod")).kubernetes
    assert inside == KubernetesOptions()


@pytest.mark.parametrize(
    "line",
    [
        ("--duties",),
        ("--join", "--pod-cidr", "10.1.0.0/24"),
        ("--kubernetes-server", "https://192.0.2.1"),
        ("--kubernetes", "x", "--cluster-dir", "y"),
    ],
)
def test_a_node_has_one_cluster(line: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--kubernetes"):
        node_options(NodePaths(), parsed(*line))


def test_cgroups_of_the_host_by_pattern(tmp_path: Path) -> None:
    for name in ("kubepods.slice", "kubepods", "system.slice"):
        (tmp_path / name).mkdir()

    def found(word: str) -> list[str]:
        made = node_options(NodePaths(), parsed("--host-cgroup", word))
        return [path.name for path in made.host_cgroups]

    assert found(f"{tmp_path}/kubepods*") == ["kubepods", "kubepods.slice"]
    assert found(f"{tmp_path}/user*") == []
    assert found(f"{tmp_path}/user.slice") == ["user.slice"]


@pytest.mark.parametrize("more", [(), ("--pod-cidr", "10.1.0.0/24", "--duties")])
def test_a_host_beside_a_cluster_has_a_range_and_no_duties(more: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--join"):
        node_options(NodePaths(), parsed("--kubernetes", "x", "--join", *more))
