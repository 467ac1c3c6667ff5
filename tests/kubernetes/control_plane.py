"""A real etcd and kube-apiserver, in a network namespace that is a host beside a lab's nodes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_interface
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.mesh import wait_for
from tests.kubernetes.certificates import Authority, write_key
from tests.kubernetes.kubectl import Json, Kubectl
from tests.kubernetes.programs import Programs
from tulle.edges import netns
from tulle.edges.netlink import disconnect, fabric, set_up_loopback
from tulle.lab.cluster import NETWORKS, Cluster
from tulle.model.world import Node

ROOT = Path("/run/tulle-kubernetes")
_NUMBER = 5  # of the host's address: neither the bridge's nor a node's
_PORT_NUMBER = 60_000  # makes its MAC: nodes' begin at 0
_ETCD = "http://127.0.0.1:2379"
_PATIENCE_S = 180.0  # a server that lives gets there: among several that start it takes a minute
_ROOM = {"cpu": "2", "memory": "4Gi", "pods": "110"}  # of a node
_ADMIN = ("kubernetes-admin", "system:masters")
# what is on by default in all versions but the oldest
_FEATURES = ["--feature-gates=IPv6DualStack=true,EndpointSliceTerminatingCondition=true"]


class ControlPlane:
    """`server` is its URL on any lab's network that it was connected to; `kubectl` is an admin's.

    Everything of it is in its `directory`, its network namespace and, for etcd, in memory.
    """

    def __init__(self, name: str, number: int = _NUMBER, like: Path | None = None) -> None:
        """`number` is of its addresses on the network: two on one network have two.

        It begins with the objects that another one kept as `like`.
        """
        self.name, self._number, self._like = name, number, like
        self.directory = ROOT / name
        self.netns = self.directory / "netns" / "host"
        self.address = NETWORKS[0][number]
        self.server = f"https://{self.address}:6443"
        self._etcd_data = Path("/dev/shm") / f"tulle-kubernetes-{name}"  # noqa: S108
        self._programs = Programs(self.netns, self.directory)
        self._lab: Cluster | None = None

    def start(self, *options: str) -> None:
        """Returns when it is ready; `options` are more of the API server's.

        Raises AssertionError, which tells what the programs said.
        """
        self.directory.mkdir(mode=0o700, parents=True)
        netns.create(self.netns)
        netns.run_in(self.netns, partial(set_up_loopback, [self.address]))
        self._issue()
        if self._like is not None:
            shutil.copytree(self._like, self._etcd_data)
        self._etcd_data.mkdir(mode=0o700, exist_ok=True)
        data = ("--data-dir", self._etcd_data, "--logger", "zap", "--log-level", "error")
        self._programs.start("etcd", *data, "--listen-peer-urls", "http://127.0.0.1:2380")
        self.start_api(*options)

    def start_api(self, *options: str) -> None:
        self._programs.start("kube-apiserver", *self._api_options(), *options)
        self._wait_ready()

    def kill_api(self) -> None:
        """As if its machine had lost power; etcd stays."""
        self._programs.kill("kube-apiserver")

    def keep(self, where: Path) -> None:
        """All of its objects, for others to begin with; it ends."""
        self._programs.stop()
        shutil.copytree(self._etcd_data, where)

    def start_controllers(self, *names: str) -> None:
        """kube-controller-manager, with all of its usual controllers or those named alone.

        One that runs stays as it is.
        """
        if self._programs.runs("kube-controller-manager"):
            return
        own = self.kubeconfig("kube-controller-manager", "system:kube-controller-manager")
        self._programs.start("kube-controller-manager", *self._manager_options(own, names))

    def start_scheduler(self) -> None:
        """One that runs stays."""
        if not self._programs.runs("kube-scheduler"):
            own = self.kubeconfig("kube-scheduler", "system:kube-scheduler")
            self._programs.start("kube-scheduler", *_common(own))

    def stop(self) -> None:
        """Idempotent; nothing is left."""
        self.disconnect()
        self._programs.stop()
        netns.delete_all(self.netns.parent)
        for directory in (self.directory, self._etcd_data):
            shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):  # others are there
            ROOT.rmdir()

    def connect(self, lab: Cluster) -> None:
        """Become a host beside the lab's nodes; it may have none yet. One lab at a time."""
        self.disconnect()
        self._lab = lab
        lab.make_fabric()
        plug = partial(
            fabric.plug_in, f"plane{self._number}", _PORT_NUMBER + self._number, self.netns
        )
        netns.run_in(lab.fabric, plug)
        own = [ip_interface(f"{item[self._number]}/{item.prefixlen}") for item in NETWORKS]
        gateways = [network[1] for network in NETWORKS]
        netns.run_in(self.netns, partial(fabric.configure_uplink, own, gateways))

    def disconnect(self) -> None:
        """Idempotent."""
        if netns.exists(self.netns):
            netns.run_in(self.netns, partial(disconnect, [fabric.UPLINK]))
        if self._lab is not None:
            self._lab.forget_fabric()
        self._lab = None

    def kubeconfig(self, stem: str, user: str, *groups: str) -> Path:
        """A file STEM.kubeconfig for `user`, made once."""
        path = self.directory / f"{stem}.kubeconfig"
        if not path.exists():
            self.authority.kubeconfig(self.server, stem, user, *groups)
        return path

    def tulle(self, *words: str, code: int = 0) -> str:
        """What the command says to an administrator beside the nodes, and ends with `code`."""
        line = [*self._programs.prefix, sys.executable, "-P", "-m", "tulle.cli", *words]
        config = f"--kubeconfig={self.directory / 'admin.kubeconfig'}"
        done = subprocess.run([*line, config], capture_output=True, text=True, timeout=400)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def make_namespace(self, name: str) -> None:
        """One in which pods may be made though no controller gives it a service account."""
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name},
                "automountServiceAccountToken": False,
            },
            manager="tests",  # by the server: controllers may be about to give it one
        )

    def make_node(self, lab: Cluster, name: str, ready: bool = True) -> Json:
        """What a kubelet would say of the lab's node `name`, with the pod CIDRs that it has."""
        conditions = [{"type": "Ready", "status": "True"}] if ready else []
        member = lab.members()[name]
        addresses = [{"type": "InternalIP", "address": str(item)} for item in member.addresses]
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {"podCIDR": member.pod_cidrs[0], "podCIDRs": list(member.pod_cidrs)},
            "status": {
                "addresses": addresses,
                "conditions": conditions,
                "capacity": _ROOM,
                "allocatable": _ROOM,
            },
        }
        self.kubectl.create(node)
        return node

    # --- how the programs are started -----------------------------------------------------------

    def _issue(self) -> None:
        self.authority = Authority(self.directory)
        names = ("127.0.0.1", str(self.address), str(NETWORKS[1][self._number]), "localhost")
        services = tuple(str(network[1]) for network in Node().service_cidrs)
        inside = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        self.authority.issue("server", "kube-apiserver", names=(*names, *services, *inside))
        self.authority.issue("kubelet-client", *_ADMIN)
        write_key(self.directory / "accounts.key", ec.generate_private_key(ec.SECP256R1()))
        admin = self.kubeconfig("admin", *_ADMIN)
        cache = self.directory / "kubectl"
        self.kubectl = Kubectl(self._programs.prefix, admin, cache)

    def _api_options(self) -> list[str]:
        place, accounts = self.directory, self.directory / "accounts.key"
        services = ",".join(str(network) for network in Node().service_cidrs)
        return [
            f"--etcd-servers={_ETCD}",
            f"--advertise-address={self.address}",
            f"--service-cluster-ip-range={services}",
            f"--client-ca-file={place / 'ca.crt'}",
            f"--tls-cert-file={place / 'server.crt'}",
            f"--tls-private-key-file={place / 'server.key'}",
            f"--kubelet-client-certificate={place / 'kubelet-client.crt'}",
            f"--kubelet-client-key={place / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            "--profiling=false",
            *_FEATURES,
        ]

    def _manager_options(self, kubeconfig: Path, names: tuple[str, ...]) -> list[str]:
        place = self.directory
        return [
            *_common(kubeconfig),
            f"--controllers={','.join(names) or '*'}",
            f"--root-ca-file={place / 'ca.crt'}",
            f"--service-account-private-key-file={place / 'accounts.key'}",
            "--use-service-account-credentials",
            *_FEATURES,
        ]

    def _wait_ready(self) -> None:
        def ready() -> bool:
            self._programs.check()
            return self.kubectl("get", "--raw", "/readyz", check=False) == "ok"

        try:
            wait_for(ready, _PATIENCE_S)
        except AssertionError as error:
            said = self._programs.said("kube-apiserver")
            raise AssertionError(f"the API server is not ready: {error}\n{said}") from error


def _common(kubeconfig: Path) -> list[str]:
    access = [f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}"]
    return [*access, f"--authorization-kubeconfig={kubeconfig}", "--leader-elect=false"]


@contextmanager
def control_plane(
    name: str, number: int = _NUMBER, like: Path | None = None
) -> Iterator[ControlPlane]:
    """One for a while."""
    made = ControlPlane(name, number, like)
    try:
        made.start()
        yield made
    finally:
        made.stop()
