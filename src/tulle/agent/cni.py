"""What a container runtime says to a CNI plugin, and how it is answered. Pure.

The words are those of the specification of CNI 1.1. Configuration that is not
understood is refused by name: a pod that runs without what its operator asked for is worse than
one that does not run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import msgspec

from tulle.edges.netlink import GATEWAYS, NODE_MAC, WORKLOAD_MAC
from tulle.errors import Broken, Refused, TulleError, Unavailable, printable
from tulle.model.kubernetes import Labels
from tulle.model.paths import require_label, require_subdomain
from tulle.model.world import IPAddress, Key

from .capabilities import NOTHING, Wishes, check_supported, wishes_of
from .chained import addresses_in

Json = dict[str, Any]
Verb = Literal["ADD", "DEL", "CHECK", "GC", "STATUS"]
VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
LATEST = VERSIONS[-1]

# codes of the specification
INCOMPATIBLE_VERSION, UNSUPPORTED_FIELD, BAD_ENVIRONMENT, CANNOT_DECODE, BAD_CONFIGURATION = (
    1,
    2,
    4,
    6,
    7,
)
TRY_AGAIN_LATER, NOT_AVAILABLE = 11, 50
# our own; 100 is the plugin's
REFUSED, KERNEL, INTERNAL, NOT_AS_ADDED = 101, 102, 103, 104

_CONTAINER_ID = re.compile(r"[a-zA-Z0-9][\w.-]{0,255}", re.ASCII)
_IFNAME = re.compile(r"[^\s/:\0]{1,15}")
_UNFIT = re.compile(r"[^a-z0-9]+")
_POD_NAME, _POD_NAMESPACE, _POD_UID = "K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_UID"


class CniError(Refused):
    """What is told to the runtime, with a code of the specification or our own."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(reason)


class _Label(msgspec.Struct):
    key: str
    value: str = ""


class _CniArgs(msgspec.Struct):
    labels: list[_Label] = []


class _Args(msgspec.Struct):
    cni: _CniArgs = msgspec.field(default_factory=_CniArgs)


class _Attached(msgspec.Struct):
    container_id: str = msgspec.field(name="containerID")
    ifname: str


class _Configuration(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """One plugin's network configuration, as the runtime passes it on."""

    cni_version: str
    name: str
    type: str = ""
    cni_versions: list[str] = []
    args: _Args = msgspec.field(default_factory=_Args)
    capabilities: dict[str, Any] = {}
    runtime_config: dict[str, Any] = {}
    prev_result: dict[str, Any] | None = None
    dns: dict[str, Any] = {}
    disable_check: bool = False
    disable_gc: bool = msgspec.field(default=False, name="disableGC")
    load_only_inlined_plugins: bool = False
    valid_attachments: list[_Attached] | None = msgspec.field(
        default=None, name="cni.dev/valid-attachments"
    )
    attachments: list[_Attached] | None = msgspec.field(default=None, name="cni.dev/attachments")


@dataclass(frozen=True, slots=True)
class Attachment:
    """An interface that a runtime wants in a network namespace of its own, and for which pod."""

    network: str
    container_id: str
    ifname: str
    netns: str = ""
    key: Key = ("", "")
    uid: str = ""

    @property
    def id(self) -> tuple[str, str]:
        return self.container_id, self.ifname


@dataclass(frozen=True, slots=True)
class CniCall:
    """`valid` are the attachments that a GC leaves, `labels` those of the configuration.

    `wishes` are what ADD is to make beside an interface.
    """

    verb: Verb
    version: str
    attachment: Attachment
    labels: Labels = field(default_factory=dict)
    wishes: Wishes = NOTHING
    valid: frozenset[tuple[str, str]] = frozenset()
    previous: Json | None = None
    dns: Json = field(default_factory=dict)


def parse(verb: str, body: bytes) -> CniCall:
    """The call of the plugin: its variables, two NULs, its standard input. Raises CniError."""
    if verb not in get_args(Verb):
        raise CniError(BAD_ENVIRONMENT, f"CNI_COMMAND {verb!r}: no such command")
    text, found, stdin = body.partition(b"\0\0")
    if not found:
        raise CniError(CANNOT_DECODE, "not what the plugin sends")
    environment = _environment(text)
    config = _configuration(stdin)
    if verb in ("ADD", "CHECK"):
        _check_supported(config)
    named = verb in ("ADD", "DEL", "CHECK")
    of = _attachment(verb, config, environment) if named else Attachment(config.name, "", "")
    if verb == "GC" and config.valid_attachments is None:
        raise CniError(BAD_CONFIGURATION, "cni.dev/valid-attachments: GC needs it")
    if verb == "CHECK" and config.prev_result is None:
        raise CniError(BAD_CONFIGURATION, "prevResult: CHECK needs it")
    return CniCall(
        verb=verb,  # type: ignore[arg-type] # one of them, as looked at above
        version=config.cni_version,
        attachment=of,
        labels={item.key: item.value for item in config.args.cni.labels},
        wishes=_wishes(config, of.ifname) if verb == "ADD" else NOTHING,
        valid=frozenset((a.container_id, a.ifname) for a in config.valid_attachments or ()),
        previous=config.prev_result,
        dns=config.dns,
    )


def _environment(text: bytes) -> dict[str, str]:
    found = {}
    for item in text.split(b"\0"):
        name, _, value = item.partition(b"=")
        try:
            found[name.decode("ascii")] = value.decode()
        except UnicodeDecodeError as error:
            where = printable(name.decode("latin-1"))
            raise CniError(BAD_ENVIRONMENT, f"{where}: not UTF-8") from error
    return found


def _configuration(stdin: bytes) -> _Configuration:
    try:
        config = msgspec.json.decode(stdin, type=_Configuration)
    except msgspec.ValidationError as error:
        raise CniError(*_told(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CniError(CANNOT_DECODE, f"network configuration: {error}") from error
    if config.cni_version not in VERSIONS:
        known = ", ".join(VERSIONS)
        reason = f"cniVersion {config.cni_version!r}: must be one of {known}"
        raise CniError(INCOMPATIBLE_VERSION, reason)
    if not config.name:
        raise CniError(BAD_CONFIGURATION, "name: must not be empty")
    return config


def _told(error: str) -> tuple[int, str]:
    reason, _, path = error.partition(" - at ")
    where = path.strip("`").removeprefix("$").removeprefix(".")
    if reason.startswith("Object contains unknown field"):
        name = reason.removeprefix("Object contains unknown field").strip(" `")
        at = f"{where}.{name}" if where else name
        return UNSUPPORTED_FIELD, f"{printable(at)}: Tulle has no such option"
    return BAD_CONFIGURATION, printable(f"{where}: {reason}" if where else reason)


def _check_supported(config: _Configuration) -> None:
    try:
        check_supported(config.runtime_config)
    except Refused as error:
        raise CniError(UNSUPPORTED_FIELD, str(error)) from error


def _wishes(config: _Configuration, ifname: str) -> Wishes:
    before = config.prev_result
    try:
        wishes = wishes_of(config.runtime_config)
        if before is not None:
            wishes = replace(wishes, addresses=tuple(map(str, addresses_in(before, ifname))))
        return wishes
    except Refused as error:
        raise CniError(BAD_CONFIGURATION, str(error)) from error


def _attachment(verb: str, config: _Configuration, environment: Mapping[str, str]) -> Attachment:
    container_id = _variable(environment, "CNI_CONTAINERID", _CONTAINER_ID)
    ifname = _variable(environment, "CNI_IFNAME", _IFNAME)
    if ifname in (".", ".."):
        raise CniError(BAD_ENVIRONMENT, f"CNI_IFNAME: {ifname!r} is no name of an interface")
    netns = environment.get("CNI_NETNS", "")
    if verb != "DEL" and not netns.startswith("/"):
        raise CniError(BAD_ENVIRONMENT, "CNI_NETNS: must be the path of a network namespace")
    of = Attachment(config.name, container_id, ifname, netns)
    if verb != "ADD":
        return of
    args = _arguments(environment.get("CNI_ARGS", ""))
    name = args.get(_POD_NAME) or _UNFIT.sub("-", container_id.lower()).strip("-")[:63].strip("-")
    key = args.get(_POD_NAMESPACE) or "default", name
    try:
        require_label(key[0], _POD_NAMESPACE)
        require_subdomain(key[1], _POD_NAME)
    except Refused as error:
        raise CniError(BAD_ENVIRONMENT, f"CNI_ARGS: {error}") from error
    return Attachment(config.name, container_id, ifname, netns, key, args.get(_POD_UID, ""))


def _variable(environment: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = environment.get(name, "")
    if not form.fullmatch(value):
        problem = f"{value[:64]!r} is not valid" if value else "must be set"
        raise CniError(BAD_ENVIRONMENT, f"{name}: {problem}")
    return value


def _arguments(text: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, text.split(";")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise CniError(BAD_ENVIRONMENT, f"CNI_ARGS: {pair!r} is not NAME=VALUE")
        found[name] = value
    return found


def result(call: CniCall, interface: str, addresses: Sequence[IPAddress], mtu: int) -> Json:
    """What ADD made, in the form of the version that was asked for."""
    node_side: Json = {"name": interface, "mac": NODE_MAC}
    inside: Json = {"name": call.attachment.ifname, "mac": WORKLOAD_MAC}
    inside["sandbox"] = call.attachment.netns
    if call.version == LATEST:
        node_side["mtu"] = inside["mtu"] = mtu
    ips: list[Json] = []
    for address in addresses:
        prefix = f"{address}/{address.max_prefixlen}"
        ip: Json = {"address": prefix, "gateway": GATEWAYS[address.version], "interface": 1}
        if call.version in ("0.3.1", "0.4.0"):
            ip["version"] = str(address.version)
        ips.append(ip)
    routes = [
        {"dst": "0.0.0.0/0" if version == 4 else "::/0", "gw": GATEWAYS[version]}
        for version in sorted({address.version for address in addresses})
    ]
    return {
        "cniVersion": call.version,
        "interfaces": [node_side, inside],
        "ips": ips,
        "routes": routes,
        "dns": call.dns,
    }


def failure(error: Exception, version: str = LATEST) -> Json:
    """The error as the runtime reads it."""
    return {"cniVersion": version, "code": code_of(error), "msg": str(error)}


def code_of(error: Exception) -> int:
    if isinstance(error, CniError):
        return error.code
    if isinstance(error, Unavailable):
        return TRY_AGAIN_LATER
    if isinstance(error, Refused):
        return REFUSED
    return KERNEL if isinstance(error, Broken | OSError | TulleError) else INTERNAL
