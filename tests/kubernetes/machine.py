"""A lab's node as a machine of its own, for what has its place on a machine: Tulle's DaemonSet.

containerd and the kubelet have a mount namespace, in which mounts are shared as an init system
would have it. /run, /var/lib, /var/log, /opt, the BPF file system and cgroup v2 are its own there:
nothing that runs on it can reach another one's, nor what belongs to the machine below.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.kubernetes import cache
from tests.kubernetes.control_plane import ROOT, ControlPlane
from tests.kubernetes.images import NEXT, TULLE
from tests.kubernetes.node import KubeNode
from tulle.edges.cgroup import find_mount
from tulle.lab.cluster import Cluster

# where its kubelet makes pods' groups, by the whole hierarchy's name for the node's
PODS = find_mount() / "tulle-kube-*"
CNI_BIN, CNI_CONF = Path("/opt/cni/bin"), Path("/run/cni/net.d")
_OWN = ("run", "var/lib", "var/log", "opt")
# $1 what is to be the root of cgroup v2, $2 where that is mounted, $3 the node's own directories,
# $4 where the tests' are, which stay
_APART = f"""
mount --make-rshared /
mount -t bpf bpf /sys/fs/bpf
mount --bind "$1" "$2"
mount --rbind "$4" "$3$4"
for place in {" ".join(_OWN)}; do mount --rbind "$3/$place" "/$place"; done
shift 4
exec "$@"
"""


class Machine(KubeNode):
    """Its kubelet takes CNI plugins from where Tulle's DaemonSet is told to lay them."""

    shared = ()

    def __init__(self, plane: ControlPlane, lab: Cluster, name: str) -> None:
        super().__init__(plane, lab, name)
        self.cni_conf, self.cni_bin = CNI_CONF, CNI_BIN
        self._own = self.directory / "own"
        self.cgroup = find_mount() / self._paths.cgroup

    def import_tulle(self) -> None:
        """The image that is to be installed, and the same once more as another version."""
        self.ctr("images", "import", str(cache.image()))
        self.ctr("images", "tag", TULLE, NEXT)

    def look(self, *command: str, check: bool = True) -> str:
        """What a command says that sees the node's mounts and network."""
        line = [*self._programs.prefix, *self._beside(), *command]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _apart(self) -> Sequence[str | Path]:
        words = (self.cgroup, find_mount(), self._own, ROOT)
        return ("unshare", "--mount", "sh", "-euc", _APART, "sh", *words)

    def _beside(self) -> Sequence[str | Path]:
        return ("nsenter", f"--mount=/proc/{self._programs.pid('containerd')}/ns/mnt")

    def _make_directories(self) -> None:
        for path in (*(Path("/", name) for name in _OWN), ROOT, CNI_BIN, CNI_CONF):
            (self._own / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
