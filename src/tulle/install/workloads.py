"""The DaemonSet of agents and the Deployment of operators."""

from __future__ import annotations

from typing import Any

from .marks import NAMESPACE, Each, Item, Node, Param, Text, Unless, When
from .metadata import AGENT, CLEANER, OPERATOR, labels, metadata, selector

HEALTH_PORT = 9878
_USER = 65532  # nobody in particular: the operator touches no file of the node's
_IMAGE = Text("{}:{}", (Param("image.repository"), Param("image.tag")))
_CHAINED = Param("cni.chained")
_CLUSTER_NAME = When(Param("clusterName"), Text("--cluster-name={}", (Param("clusterName"),)))
_CNI_DIRECTORIES = ("--bin-dir=/host/cni/bin", "--conf-dir=/host/cni/net.d")
_CNI_MOUNTS: list[Node] = [
    {"name": "cni-bin", "mountPath": "/host/cni/bin"},
    {"name": "cni-conf", "mountPath": "/host/cni/net.d"},
]
_HOST_FILES: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]},
    "seLinuxOptions": {"type": "spc_t"},  # or SELinux keeps it from the host's files
}


def agents() -> Node:
    """Ends without taking anything out of the kernel: that is `tulle uninstall`'s to do."""
    pod = {
        "serviceAccountName": AGENT,
        "hostNetwork": True,
        "hostPID": True,  # to enter the namespaces of pods by their processes
        "dnsPolicy": "ClusterFirstWithHostNet",
        "priorityClassName": Param("agent.priorityClass"),
        "terminationGracePeriodSeconds": 10,
        "nodeSelector": Param("agent.nodeSelector"),
        "tolerations": Param("agent.tolerations"),
        "imagePullSecrets": Param("image.pullSecrets"),
        "initContainers": [_plugin()],
        "containers": [_agent()],
        "volumes": _volumes(),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(AGENT, NAMESPACE),
        "spec": {
            "selector": {"matchLabels": selector(AGENT)},
            "revisionHistoryLimit": 5,
            "minReadySeconds": 5,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": _template(AGENT, pod),
        },
    }


def cleaners() -> Node:
    """What `tulle uninstall` runs on every node for a while: it takes the node down."""
    remove = _container(
        "remove-cni",
        ["install-cni", "--remove", *_CNI_DIRECTORIES],
        securityContext=_HOST_FILES,
        volumeMounts=_CNI_MOUNTS,
    )
    down = _container(
        "down", ["down"], securityContext={"privileged": True}, volumeMounts=_mounts()
    )
    done = {
        **_container("done", []),
        "command": ["python3", "-IS", "-c", "import signal; signal.pause()"],
    }
    pod = {
        "hostNetwork": True,
        "hostPID": True,
        "automountServiceAccountToken": False,
        "priorityClassName": Param("agent.priorityClass"),
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": Param("agent.nodeSelector"),
        "tolerations": Param("agent.tolerations"),
        "imagePullSecrets": Param("image.pullSecrets"),
        "initContainers": [remove, down],
        "containers": [done],
        "volumes": _volumes(),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(CLEANER, NAMESPACE),
        "spec": {
            "selector": {"matchLabels": selector(CLEANER)},
            "template": _template(CLEANER, pod),
        },
    }


def operator() -> Node:
    """Not on the node's network: it needs no more of a node than any pod does."""
    pod = {
        "serviceAccountName": OPERATOR,
        "priorityClassName": OPERATOR,
        "nodeSelector": Param("operator.nodeSelector"),
        "tolerations": Param("operator.tolerations"),
        "imagePullSecrets": Param("image.pullSecrets"),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {"podAntiAffinity": _apart()},
        "containers": [_operator()],
        "volumes": [{"name": "state", "emptyDir": {}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(OPERATOR, NAMESPACE),
        "spec": {
            "replicas": Param("operator.replicas"),
            "selector": {"matchLabels": selector(OPERATOR)},
            "revisionHistoryLimit": 5,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1},
            },
            "template": _template(OPERATOR, pod),
        },
    }


def _template(name: str, pod: dict[str, Node]) -> Node:
    return {"metadata": {"labels": {**selector(name), **labels()}}, "spec": pod}


def _apart() -> Node:
    term = {
        "labelSelector": {"matchLabels": selector(OPERATOR)},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"preferredDuringSchedulingIgnoredDuringExecution": preferred}


def _container(name: str, args: list[Node], **more: Node) -> dict[str, Node]:
    return {
        "name": name,
        "image": _IMAGE,
        "imagePullPolicy": Param("image.pullPolicy"),
        "command": ["tulle"],
        "args": args,
        **more,
    }


def _plugin() -> Node:
    """Before the agent: a plugin that is asked too early waits for it."""
    return _container(
        "install-cni",
        ["install-cni", *_CNI_DIRECTORIES, When(_CHAINED, "--chained")],
        securityContext=_HOST_FILES,
        volumeMounts=_CNI_MOUNTS,
    )


def _agent() -> Node:
    return _container(
        "agent",
        _agent_args(),
        env=[_from_pod("NODE_NAME", "spec.nodeName")],
        resources=Param("agent.resources"),
        securityContext={"privileged": True},  # mounts that the node is to see, and all of BPF
        startupProbe=_probe("live", period_s=5, failures=60),
        livenessProbe=_probe("live", period_s=20, failures=6),
        readinessProbe=_probe("ready", period_s=10, failures=3),
        volumeMounts=_mounts(),
    )


def _agent_args() -> list[Node]:
    return [
        "up",
        "--kubernetes=in-pod",
        "--node-name=$(NODE_NAME)",
        When(Param("apiServer"), Text("--kubernetes-server={}", (Param("apiServer"),))),
        When(_CHAINED, "--cni-chained"),
        *(When(Unless(_CHAINED), item) for item in _routing()),
        Each("gatewayCidrs", Item("--service-cidr={}")),
        _CLUSTER_NAME,
        Text("--xdp={}", (Param("xdp"),)),
        When(Param("uplink"), Text("--uplink={}", (Param("uplink"),))),
        Text("--proxy-workers={}", (Param("agent.proxyWorkers"),)),
        When(Unless(Param("agent.proxyStandby")), "--no-proxy-standby"),
        Each("agent.hostCgroups", Item("--host-cgroup={}")),
        Each("agent.extraArgs", Item()),
    ]


def _routing() -> list[Node]:
    """What another plugin decides where Tulle's comes after it."""
    return [
        Text("--routing={}", (Param("routing"),)),
        Text("--load-balancing={}", (Param("loadBalancing"),)),
        When(Unless(Param("masquerade")), "--no-masquerade"),
        Each("noMasqueradeCidrs", Item("--no-masquerade-cidr={}")),
    ]


def _operator() -> Node:
    def probe(path: str) -> dict[str, Any]:
        return {
            "httpGet": {"path": path, "port": "health"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        }

    return _container(
        "operator",
        [
            "operator",
            f"--health-port={HEALTH_PORT}",
            Each("gatewayCidrs", Item("--service-cidr={}")),
            When(Param("apiServer"), Text("--kubernetes-server={}", (Param("apiServer"),))),
            _CLUSTER_NAME,
        ],
        env=[
            _from_pod("POD_NAME", "metadata.name"),
            _from_pod("POD_NAMESPACE", "metadata.namespace"),
        ],
        ports=[{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        resources=Param("operator.resources"),
        securityContext={
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        startupProbe=probe("/healthz"),
        livenessProbe=probe("/healthz"),
        readinessProbe=probe("/readyz"),
        volumeMounts=[{"name": "state", "mountPath": "/var/lib/tulle"}],
    )


def _from_pod(name: str, field: str) -> Node:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}


def _probe(what: str, period_s: int, failures: int) -> dict[str, Any]:
    """The agent answers on its socket only. One that is degraded is not helped by a restart."""
    return {
        "exec": {"command": ["tulle", "status", f"--probe={what}"]},
        "periodSeconds": period_s,
        "timeoutSeconds": 10,
        "failureThreshold": failures,
    }


# Of the node: path, where it differs within the container, and how mounts are shared. Mounts that
# the agent makes must outlive it, so the node has to see them; those of pods come to be later.
_HOST_PATHS = (
    ("bpffs", "/sys/fs/bpf", "Bidirectional"),
    ("cgroup", "/sys/fs/cgroup", "HostToContainer"),
    ("state", "/run/tulle", "Bidirectional"),
    ("durable", "/var/lib/tulle", "None"),
    ("netns", "/run/netns", "HostToContainer"),
)


def _mounts() -> list[Node]:
    return [
        {"name": name, "mountPath": path, "mountPropagation": how}
        for name, path, how in _HOST_PATHS
    ]


def _volumes() -> list[Node]:
    def host(name: str, path: Node) -> dict[str, Node]:
        return {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}

    return [
        *(host(name, path) for name, path, _ in _HOST_PATHS),
        host("cni-bin", Param("cni.binDir")),
        host("cni-conf", Param("cni.confDir")),
    ]
