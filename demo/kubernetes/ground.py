"""Where the tour on Kubernetes takes place: a control plane, two nodes with kubelets, the shop.

The control plane and the kubelets are those of the tests: real programs, in network namespaces of
this machine. Everything carries a name of the demo's own, so what an earlier one left can be found.
"""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path
from string import Template

from tests.kubernetes.control_plane import ROOT, ControlPlane
from tests.kubernetes.crds import definitions
from tests.kubernetes.images import HOST
from tests.kubernetes.node import KubeNode
from tulle.edges.cgroup import find_mount
from tulle.lab import node as lab_node
from tulle.lab.cluster import Cluster
from tulle.model.paths import NodePaths

from .. import shell, stage

NAME = "kube-demo"
NODES = FIRST, SECOND = (f"{NAME}-a", f"{NAME}-b")
NAMESPACE = "shop"
HERE = Path(__file__).parent


class Ground:
    """Makes nothing by itself; `clear` removes what one of its kind has made, however it ended."""

    def __init__(self) -> None:
        self.plane, self.lab = ControlPlane(NAME), Cluster(NAME)
        self.nodes: dict[str, KubeNode] = {}

    @property
    def kubeconfig(self) -> Path:
        return self.plane.directory / "admin.kubeconfig"

    def prepare(self) -> None:
        """The shop's files. Raises DemoError if this machine cannot hold the shop."""
        words, user = stage.make(), pwd.getpwnam("postgres")
        words |= {"image": HOST, "user": str(user.pw_uid), "group": str(user.pw_gid)}
        shop = Template((HERE / "shop.yaml").read_text()).substitute(words)
        (stage.STAGE / "shop.yaml").write_text(shop)
        conf = stage.STAGE / "nginx.conf"
        conf.write_text("user root;\n" + conf.read_text())

    def start_plane(self) -> None:
        self.plane.start()
        shell.PROGRAMS["kubectl"] = self.plane.kubectl.line
        self.plane.start_controllers()
        self.plane.start_scheduler()
        self.plane.kubectl.apply(*definitions(), manager="demo")
        self.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def start_nodes(self) -> None:
        """Kubelets that wait for a network."""
        self.plane.connect(self.lab)
        for name in NODES:
            lab_node.create_in(self.lab, name)
            self.nodes[name] = KubeNode(self.plane, self.lab, name)
            self.nodes[name].start()

    @property
    def agents_line(self) -> Sequence[str]:
        """What starts the nodes' agents."""
        options = ("--kubernetes", str(self.kubeconfig), "--duties", "--routing", "vxlan")
        return ("tulle", "lab", "up", *NODES, "--cluster", NAME, *options)

    def clear(self) -> None:
        """Everything; may be repeated."""
        members = self.lab.members()
        for name in members:
            node = self.nodes.get(name) or KubeNode(self.plane, self.lab, name)
            node.stop()
        if members:
            shell.run("tulle", "lab", "down", *members)
        self.plane.stop()
        self.lab.forget_fabric()
        shutil.rmtree(stage.STAGE, ignore_errors=True)

    def remains(self) -> list[str]:
        """What is left of it on this machine: nothing, after `clear`."""
        places = [self.lab.directory, stage.STAGE, self.plane.directory, *ROOT.glob(f"{NAME}*")]
        for paths in map(NodePaths, NODES):
            places += [paths.state, paths.bpffs, find_mount() / paths.cgroup]
        places += Path("/sys/fs/cgroup").glob(f"*/tulle-{NAME}*")
        mounts = Path("/proc/self/mountinfo").read_text()
        left = [str(place) for place in places if place.exists()]
        return left + ([f"mounts of {NAME}"] if NAME in mounts else [])
