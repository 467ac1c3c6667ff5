"""What users choose of an installation: for the chart, its schema and `tulle install`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from tulle import __version__
from tulle.errors import UsageError

_PATH = r"^/[^\s]*$"
_SERVER = r"^(https://[^\s/]+)?$"
_CIDR = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"
_NAMESPACE = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


@dataclass(frozen=True, slots=True)
class Value:
    """`help` stands above it in values.yaml. Texts match `pattern`; so do those of a list."""

    path: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    pattern: str = ""
    least: int | None = None


VALUES = (
    Value("image.repository", "tulle", "Where nodes pull it from; deploy/Containerfile makes it."),
    Value("image.tag", __version__, "Its version."),
    Value("image.pullPolicy", "IfNotPresent", "", ("Always", "IfNotPresent", "Never")),
    Value("image.pullSecrets", [], "Secrets with the registry's credentials: [{name: …}]."),
    Value(
        "apiServer",
        "",
        "https://HOST:PORT of the API server. Needed where no kube-proxy runs: the Service"
        " `kubernetes`\nhas no address on a node before the agent has read it.",
        pattern=_SERVER,
    ),
    Value(
        "routing",
        "vxlan",
        "How nodes reach each other's pods: an overlay, or the network's own routes.",
        ("native", "vxlan"),
    ),
    Value(
        "loadBalancing",
        "snat",
        "What a backend on another node sees of a client outside: the node (snat) or the client.",
        ("snat", "dsr"),
    ),
    Value("masquerade", True, "Whether pods speak to the outside with their node's address."),
    Value(
        "noMasqueradeCidrs",
        [],
        "Ranges towards which they keep their own all the same.",
        pattern=_CIDR,
    ),
    Value(
        "gatewayCidrs",
        [],
        "Addresses of Gateways for which no pool has one, a range an address family; apart from the"
        "\ncluster's own ranges.",
        pattern=_CIDR,
    ),
    Value(
        "clusterName",
        "",
        "What other clusters call this one. With it, this one is joined with those to which Secrets"
        "\nwith the label tulle.io/cluster in its namespace lead.",
        (),
        r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$",
    ),
    Value("xdp", "off", "", ("off", "native", "generic")),
    Value("uplink", "", "Device to other nodes and the outside; the default route's if empty."),
    Value(
        "cni.chained",
        False,
        "Mesh only: another CNI wires pods and owns their addresses and routes.",
    ),
    Value("cni.binDir", "/opt/cni/bin", "Where the kubelet's engine finds plugins.", (), _PATH),
    Value("cni.confDir", "/etc/cni/net.d", "And their configuration.", (), _PATH),
    Value(
        "agent.hostCgroups",
        [
            "/sys/fs/cgroup/kubepods*",
            "/sys/fs/cgroup/system*",
            "/sys/fs/cgroup/user*",
        ],
        "Whose processes reach Services by their addresses; what a node has not is left out.",
        (),
        _PATH,
    ),
    Value("agent.extraArgs", [], "More options of `tulle up`."),
    Value("agent.proxyWorkers", 2, "Threads of each of a node's proxies.", least=1),
    Value("agent.proxyStandby", True, "Whether an Envoy stands by for the one that serves."),
    Value("agent.priorityClass", "system-node-critical", "Without an agent a node gets no pods."),
    Value(
        "agent.resources",
        {"requests": {"cpu": "100m", "memory": "256Mi"}},
        "No limits: an agent that is killed for its memory is of no use to anybody.",
    ),
    Value("agent.nodeSelector", {"kubernetes.io/os": "linux"}, ""),
    Value("agent.tolerations", [{"operator": "Exists"}], "Every node needs one."),
    Value("operator.replicas", 2, "One works, the others stand by.", least=1),
    Value("operator.resources", {"requests": {"cpu": "50m", "memory": "256Mi"}}, ""),
    Value("operator.nodeSelector", {"kubernetes.io/os": "linux"}, ""),
    Value("operator.tolerations", [], ""),
    Value("crds.install", True, "Tulle's own kinds; they stay when the rest is uninstalled."),
    Value("classes.create", True, "GatewayClass (if the Gateway API is there) and IngressClass."),
    Value(
        "secretNamespaces",
        [],
        "Namespaces in which Gateways, Ingresses and policies may name Secrets and ConfigMaps.\n"
        "Empty: all of them, and then agents may read every Secret of the cluster.",
        (),
        _NAMESPACE,
    ),
)
BY_PATH = {value.path: value for value in VALUES}


def defaults() -> dict[str, Any]:
    return {value.path: value.default for value in VALUES}


def chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """All values by path, `given` ones over the defaults. Raises UsageError."""
    found = defaults()
    for path, value in given.items():
        check(path, value)
        found[path] = _merged(found[path], value)
    return found


def _merged(default: Any, given: Any) -> Any:
    """As Helm does: mappings are put together, and null takes a key away."""
    if not isinstance(default, dict) or not isinstance(given, dict):
        return given
    both = {key: _merged(default.get(key), item) for key, item in given.items()}
    return {key: item for key, item in {**default, **both}.items() if item is not None}


def check(path: str, value: Any) -> None:
    """Raises UsageError, which names the value and what is wrong with it."""
    known = BY_PATH.get(path)
    if known is None:
        raise UsageError(f"{path}: is not a value; known are {', '.join(BY_PATH)}")
    if type(value) is not type(known.default):
        raise UsageError(f"{path}: must be {_kind(known)}")
    if known.choices and value not in known.choices:
        raise UsageError(f"{path}: must be one of {', '.join(known.choices)}")
    if known.least is not None and value < known.least:
        raise UsageError(f"{path}: must be at least {known.least}")
    for text in value if isinstance(value, list) else [value]:
        if known.pattern and not (isinstance(text, str) and re.search(known.pattern, text)):
            raise UsageError(f"{path}: {text!r} does not match {known.pattern}")
        if known.pattern == _CIDR:
            _check_range(path, text)


def _kind(known: Value) -> str:
    kinds = {bool: "true or false", int: "a whole number", str: "text", list: "a list"}
    return kinds.get(type(known.default), "a mapping")


def _check_range(path: str, text: str) -> None:
    try:
        ip_network(text)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def read_words(words: Iterable[str]) -> dict[str, Any]:
    """`PATH=VALUE` words; a value is JSON where its default is no text. Raises UsageError."""
    given: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r} is not PATH=VALUE")
        known = BY_PATH.get(path)
        if known is None or isinstance(known.default, str):
            given[path] = text
            continue
        try:
            given[path] = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{path}: {text!r}: must be {_kind(known)}, as JSON") from error
    return given


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a values.yaml by path. Raises UsageError for one that is no value."""
    found: dict[str, Any] = {}
    for key, item in tree.items():
        if key in BY_PATH:
            found[key] = item
            continue
        if not isinstance(item, Mapping):
            raise UsageError(f"{key}: is not a value; known are {', '.join(BY_PATH)}")
        found |= {f"{key}.{name}": inner for name, inner in item.items()}
    return found


def schema() -> dict[str, Any]:
    """values.schema.json, by which Helm checks what it is given."""
    root: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"global": {"type": "object"}},  # Helm's own
    }
    for value in VALUES:
        *parents, name = value.path.split(".")
        where = root["properties"]
        for parent in parents:
            where = where.setdefault(
                parent, {"type": "object", "additionalProperties": False, "properties": {}}
            )["properties"]
        where[name] = _schema_of(value)
    return root


def _schema_of(value: Value) -> dict[str, Any]:
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    found: dict[str, Any] = {"type": kinds[type(value.default)]}
    if value.choices:
        found["enum"] = list(value.choices)
    if value.least is not None:
        found["minimum"] = value.least
    if value.pattern:
        text = {"type": "string", "pattern": value.pattern}
        found = {"type": "array", "items": text} if found["type"] == "array" else text
    return found
