"""Names and places that belong to a node, and the check that names are fit to be paths.

Pure: nothing here looks at the file system.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tulle.errors import Refused

LOCAL = "local"  # the node that is the machine itself; others are the lab's

_PLACE_CHARS = 30
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def require_label(value: str, what: str, limit: int = 63) -> str:
    """`value` if it is an RFC 1123 label, which is also safe as a part of a path.

    Raises Refused.
    """
    if len(value) > limit or not _LABEL.fullmatch(value):
        raise Refused(
            f"{what} {value!r}: must be at most {limit} lower-case letters, digits and '-', "
            "and start and end with a letter or digit"
        )
    return value


def require_subdomain(value: str, what: str, limit: int = 180) -> str:
    """`value` if it is an RFC 1123 subdomain: labels joined by dots. Raises Refused."""
    if len(value) > limit or not _SUBDOMAIN.fullmatch(value):
        raise Refused(
            f"{what} {value!r}: must be at most {limit} lower-case letters, digits, '-' and '.', "
            "and start and end with a letter or digit"
        )
    return value


def place_of(scope: str) -> str:
    """The name of a proxy scope's directory and cgroup: short, as sockets' paths have to be.

    >>> place_of("namespace/shop"), len(place_of("service/shop/" + 60 * "a"))
    ('namespace_shop', 39)
    """
    name = scope.replace("/", "_")
    if len(name) <= _PLACE_CHARS:
        return name
    return f"{name[:_PLACE_CHARS]}.{blake2b(scope.encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True, slots=True)
class NodePaths:
    """Where a node keeps its things. Raises Refused for a name that is no RFC 1123 label."""

    node: str = LOCAL

    def __post_init__(self) -> None:
        require_label(self.node, "node", 20)

    @property
    def state(self) -> Path:
        return Path("/run/tulle") / self.node

    @property
    def durable(self) -> Path:
        """State that outlives a reboot of the machine; a lab's node does not itself."""
        return Path("/var/lib/tulle") / self.node if self.node == LOCAL else self.state

    @property
    def last_good(self) -> Path:
        """The objects in force, for when their manifests cannot be read."""
        return self.durable / "last-good.json"

    @property
    def socket(self) -> Path:
        return self.state / "agent.sock"

    @property
    def lock(self) -> Path:
        """Held by the agent as long as it lives; its pid stands in it."""
        return self.state / "agent.lock"

    @property
    def proxies(self) -> Path:
        """What belongs to the node's Envoys, with a directory for each scope."""
        return self.state / "proxy"

    def proxy(self, scope: str) -> Path:
        """Of one scope: configuration, admin sockets, logs."""
        return self.proxies / place_of(scope)

    def ads(self, scope: str) -> Path:
        """The socket where the agent configures them."""
        return self.proxy(scope) / "ads.sock"

    @property
    def manifests(self) -> Path:
        return Path("/etc/tulle/manifests") if self.node == LOCAL else self.state / "manifests"

    @property
    def namespaces(self) -> Path:
        """Directory of the network namespaces, the node's own and its workloads'."""
        return self.state / "netns"

    @property
    def netns(self) -> Path | None:
        """The node's own network namespace; None is the machine's."""
        return None if self.node == LOCAL else self.namespaces / "node"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def cgroup(self) -> str:
        """Name of the node's cgroup below the cgroup2 mount."""
        return f"tulle-{self.node}"

    @property
    def bpffs(self) -> Path:
        return Path("/sys/fs/bpf/tulle") / self.node
