"""A lab's node as a node of Kubernetes: containerd and a kubelet in its network namespace."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

from tests.e2e.mesh import wait_for
from tests.kubernetes import cache
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.images import PAUSE, archive
from tests.kubernetes.kubectl import Json
from tests.kubernetes.programs import Programs
from tulle.agent.attachments import SandboxRecord
from tulle.agent.records import Records
from tulle.edges.cgroup import find_mount
from tulle.install.cni_files import install
from tulle.lab.cluster import Cluster
from tulle.model.paths import NodePaths

_V1 = Path("/sys/fs/cgroup")


class KubeNode:
    """`name` is the lab's; pods get their network from `cni_conf` by plugins in `cni_bin`."""

    # where kubelets and containerd write whatever they are told
    shared = ("/run/containerd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods")

    def __init__(self, plane: ControlPlane, lab: Cluster, name: str) -> None:
        self.name, self._plane, self._lab = name, plane, lab
        self.directory = plane.directory / "nodes" / name
        self.cni_conf, self.cni_bin = self.directory / "cni-conf", self.directory / "cni-bin"
        self._addresses = tuple(str(item) for item in lab.members()[name].addresses)
        self.address = self._addresses[0]
        self._socket = self.directory / "containerd.sock"
        self._paths = NodePaths(name)
        # the node's own has its programs; where there are older hierarchies, pods stay in this one
        self._cgroup = f"{self._paths.cgroup}/kube"
        assert self._paths.netns is not None
        self._programs = Programs(self._paths.netns, self.directory)

    def start(self) -> None:
        """Returns when both run; the node becomes Ready once it has a CNI configuration.

        Its object has the lab's pod CIDRs from the beginning.
        """
        self._make_directories()
        self._make_cgroups()
        self._plane.make_node(self._lab, self.name, ready=False)
        config = self.directory / "containerd.toml"
        config.write_text(self._containerd())
        group = find_mount() / self._cgroup
        self._programs.start("containerd", "--config", config, cgroup=group, within=self._apart())
        self._wait_for_containerd()
        self.ctr("images", "import", str(archive(self.directory / "images.tar")))
        self.start_kubelet()

    def install_plugin(self, behind: Json | None = None) -> None:
        """As the agent's DaemonSet does: the plugin, then the configuration; after that of another
        plugin, which is there before."""
        if behind is not None:
            for name in (behind["type"], behind["ipam"]["type"]):
                shutil.copy(cache.program(name), self.cni_bin / name)
            other = {"cniVersion": "1.0.0", "name": "other", "plugins": [behind]}
            (self.cni_conf / "10-other.conflist").write_text(json.dumps(other))
        install(self.cni_bin, self.cni_conf, self._paths.socket, chained=behind is not None)

    def start_kubelet(self) -> None:
        user = f"system:node:{self.name}"
        own = self._plane.kubeconfig(f"kubelet-{self.name}", user, "system:nodes")
        self._plane.authority.issue(f"kubelet-{self.name}-server", user, names=self._addresses)
        config = self.directory / "kubelet.json"
        config.write_text(json.dumps(self._kubelet()))
        self._programs.start(
            "kubelet",
            f"--kubeconfig={own}",
            f"--config={config}",
            f"--root-dir={self.directory / 'kubelet'}",
            f"--cert-dir={self.directory / 'pki'}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{self._socket}",
            f"--hostname-override={self.name}",
            f"--node-ip={','.join(self._addresses)}",
            "--feature-gates=IPv6DualStack=true",
            within=self._beside(),
        )

    def stop_kubelet(self) -> None:
        self._programs.kill("kubelet")

    def wait_ready(self, timeout_s: float = 90.0) -> None:
        def ready(node: Json) -> bool:
            self._programs.check()
            return _is_ready(node)

        try:
            self._plane.kubectl.wait("node", self.name, "", ready, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._programs.said('kubelet')}") from error

    def ctr(self, *words: str) -> str:
        """Ask containerd, once it answers."""
        line = [
            cache.program("ctr"),
            "-a",
            self._socket,
            "-n",
            "k8s.io",
            "--connect-timeout",
            "20s",
        ]
        done = subprocess.run([*line, *words], capture_output=True, text=True, timeout=120)
        if done.returncode:
            self._programs.check()
            raise AssertionError(f"ctr {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _wait_for_containerd(self) -> None:
        """ctr itself waits for its socket to be there, not for somebody to listen on it."""

        def answers() -> bool:
            with suppress(AssertionError):
                return bool(self.ctr("version"))
            return False

        wait_for(answers, 60)

    def stop(self) -> None:
        """Everything on it ends, and leaves nothing. Idempotent."""
        if self._programs.runs("kubelet"):
            self.stop_kubelet()
        self._end_containers()
        self._programs.stop()
        for group in self._cgroups():
            _end_group(group)
            if group.parent.parent != find_mount():  # that is the node's
                with suppress(OSError):
                    group.parent.rmdir()
        self._forget_networks()
        _unmount(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- in which the nodes of other tests differ ----------------------------------------------

    def _apart(self) -> Sequence[str | Path]:
        """What runs containerd."""
        return ()

    def _beside(self) -> Sequence[str | Path]:
        """What runs the kubelet, once containerd runs."""
        return ()

    def _make_directories(self) -> None:
        for path in (self.directory, self.cni_conf, self.cni_bin):
            path.mkdir(mode=0o700, parents=True)

    # --- configurations -------------------------------------------------------------------------

    def _containerd(self) -> str:
        state, root = self.directory / "state", self.directory / "root"
        return f"""version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{self._socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{cache.program("runc")}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{self.cni_bin}"
conf_dir = "{self.cni_conf}"
"""

    def _kubelet(self) -> Json:
        pki = self._plane.directory
        resolv = self.directory / "resolv.conf"
        resolv.touch()
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "tlsCertFile": str(pki / f"kubelet-{self.name}-server.crt"),
            "tlsPrivateKeyFile": str(pki / f"kubelet-{self.name}-server.key"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "1Mi"},
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "readOnlyPort": 0,
            "resolvConf": str(resolv),
            "nodeStatusUpdateFrequency": "2s",
            "syncFrequency": "5s",
        }

    # --- what is left to be made and removed ----------------------------------------------------

    def _cgroups(self) -> list[Path]:
        own = find_mount()
        roots = [own] if own == _V1 else [path for path in _V1.iterdir() if path.is_dir()]
        return [root / self._cgroup for root in {own, *roots}]

    def _make_cgroups(self) -> None:
        """Of its own in every hierarchy: two kubelets in one would end each other's pods."""
        for group in self._cgroups():
            for path in (group.parent, group):
                path.mkdir(exist_ok=True)
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if (file := path / name).exists() and not file.read_text().strip():
                        file.write_text((path.parent / name).read_text())

    def _end_containers(self) -> None:
        if not self._programs.runs("containerd"):
            return
        with suppress(AssertionError):
            for task in self.ctr("tasks", "list", "-q").split():
                with suppress(AssertionError):  # it has just ended
                    self.ctr("tasks", "delete", "--force", task)

    def _forget_networks(self) -> None:
        """Of pods that were not ended by their kubelet: an agent knows where they are."""
        for _, record in Records(self._paths.state / "sandboxes", SandboxRecord).load():
            subprocess.run(["umount", "-l", record.netns], capture_output=True)
            Path(record.netns).unlink(missing_ok=True)


Node = TypeVar("Node", bound=KubeNode)


@contextmanager
def kube_nodes(
    plane: ControlPlane, lab: Cluster, names: Iterable[str], kind: type[Node]
) -> Iterator[dict[str, Node]]:
    """These nodes of the lab, by name, for a while."""
    made = {name: kind(plane, lab, name) for name in names}
    with _alone_in(kind.shared) if kind.shared else nullcontext():
        try:
            for node in made.values():
                node.start()
            yield made
        finally:
            for node in made.values():
                node.stop()
            plane.kubectl("delete", "nodes", "--ignore-not-found", *made, check=False)


@contextmanager
def _alone_in(shared: Iterable[str]) -> Iterator[None]:
    """Other tests' kubelets wait. Those of these directories that are new are removed."""
    with cache.directory().with_suffix(".kubelets").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = [path for path in map(Path, shared) if not path.exists()]
        try:
            yield
        finally:
            for path in new:
                shutil.rmtree(path, ignore_errors=True)


def _is_ready(node: Json) -> bool:
    conditions = {item["type"]: item["status"] for item in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def _end_group(group: Path) -> None:
    """Processes too, those that containers have left. Idempotent."""
    for path in sorted(group.glob("**/"), reverse=True):
        with suppress(OSError):
            for pid in (path / "cgroup.procs").read_text().split():
                subprocess.run(["kill", "-KILL", pid], capture_output=True)
        for _ in range(50):
            try:
                path.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                subprocess.run(["sleep", "0.05"], check=True)


def _unmount(directory: Path) -> None:
    """All that is mounted there, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for place in sorted((line.split()[4] for line in lines), reverse=True):
        if place.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", place], check=False)
