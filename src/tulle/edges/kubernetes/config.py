"""Where the API server is and as whom we speak to it: a kubeconfig, or a pod's service account."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tulle.errors import Refused, printable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_BYTES = 1 << 20

_NOT_READ = ("exec", "auth-provider", "username", "password", "as", "as-groups", "as-user-extra")
_UNSAFE = ("insecure-skip-tls-verify",)


@dataclass(frozen=True, slots=True)
class Access:
    """Where and as whom. `ca`, `cert` and `key` are PEM; without `ca` the system's are trusted.

    `token_file` is read again when it changes, and goes before `token`.
    """

    server: str
    ca: bytes = field(default=b"", repr=False)
    token_file: Path | None = None
    token: str = field(default="", repr=False)
    cert: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    namespace: str = "default"
    server_name: str = ""  # that the server's certificate is for, if not the one in its URL


def from_kubeconfig(
    path: Path, context: str = "", *, server: str = "", whole: bool = False
) -> Access:
    """`context` is the current one if it is empty; `server` goes before the one in the file.

    `whole`: it names no other files. Somebody else wrote it, and would have ours sent to himself.

    Raises Refused.
    """
    config = _Config(path, whole)
    chosen = context or config.text(config.whole, "current-context")
    if not chosen:
        raise Refused(f"{path}: current-context: none is set")
    where = config.named("contexts", chosen, "context")
    cluster = config.named("clusters", config.text(where, "cluster"), "cluster")
    name = config.text(where, "user")
    user = config.named("users", name, "user") if name else {}
    config.refuse_unread(cluster, user)
    token_file = config.text(user, "tokenFile")
    if whole and token_file:
        raise Refused(f"{path}: tokenFile: is a file of this machine: give the token itself")
    access = Access(
        server=checked_server(server or config.text(cluster, "server"), f"{path}: server"),
        ca=config.data(cluster, "certificate-authority"),
        token_file=path.parent / token_file if token_file else None,
        token=config.text(user, "token"),
        cert=config.data(user, "client-certificate"),
        key=config.data(user, "client-key"),
        namespace=config.text(where, "namespace") or "default",
        server_name=config.text(cluster, "tls-server-name"),
    )
    if bool(access.cert) != bool(access.key):
        raise Refused(f"{path}: users[{name}]: client-certificate and client-key go together")
    return _safe(access, path)


def from_pod(
    server: str = "",
    *,
    directory: Path = SERVICE_ACCOUNT,
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """Of a pod's service account; without `server`, at the address that kubelet gave the pod.

    Raises Refused.
    """
    if not server:
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        if not host:
            raise Refused("KUBERNETES_SERVICE_HOST: not set: not in a pod, so name the API server")
        port = environment.get("KUBERNETES_SERVICE_PORT") or "443"
        server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    namespace = directory / "namespace"
    access = Access(
        server=checked_server(server, "API server"),
        ca=_read(directory / "ca.crt"),
        token_file=directory / "token",
        namespace=_read(namespace).decode().strip() if namespace.exists() else "default",
    )
    _read(directory / "token")  # told now, not with the first request
    return _safe(access, directory)


def checked_server(url: str, what: str) -> str:
    """An http or https URL without its last slash. Raises Refused."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        is_good = is_good and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise Refused(f"{what}: {printable(url[:200])!r}: must be an http or https URL")
    return url.rstrip("/")


def _safe(access: Access, path: Path) -> Access:
    has_secret = access.token or access.token_file or access.key
    if access.server.startswith("http:") and has_secret:
        raise Refused(f"{path}: server: {access.server}: would be sent credentials in the clear")
    return access


class _Config:
    """A kubeconfig, read field by field."""

    def __init__(self, path: Path, whole: bool) -> None:
        self._path, self._whole = path, whole
        try:
            whole = yaml.load(_read(path), Loader=yaml.CSafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            # not the parser's words: it shows the line, and that may be a secret
            raise Refused(f"{path}: no YAML") from error
        if not isinstance(whole, dict):
            raise Refused(f"{path}: must be an object")
        self.whole: dict[str, Any] = whole

    def named(self, plural: str, name: str, singular: str) -> dict[str, Any]:
        entries = self.whole.get(plural)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("name") == name:
                value = entry.get(singular)
                if isinstance(value, dict):
                    return value
                raise Refused(f"{self._path}: {plural}[{printable(name)}].{singular}: missing")
        raise Refused(f"{self._path}: {plural}: none is named {printable(name)!r}")

    def text(self, place: dict[str, Any], field: str) -> str:
        value = place.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Refused(f"{self._path}: {field}: must be a string")
        return value

    def data(self, place: dict[str, Any], field: str) -> bytes:
        """Of `field`-data, or of the file that `field` names, from where the kubeconfig is."""
        if inline := self.text(place, f"{field}-data"):
            try:
                return base64.b64decode(inline, validate=True)
            except (binascii.Error, ValueError) as error:
                raise Refused(f"{self._path}: {field}-data: no base64") from error
        name = self.text(place, field)
        if name and self._whole:
            raise Refused(f"{self._path}: {field}: is a file of this machine: give {field}-data")
        return _read(self._path.parent / name) if name else b""

    def refuse_unread(self, cluster: dict[str, Any], user: dict[str, Any]) -> None:
        for name in _UNSAFE:
            if cluster.get(name):
                raise Refused(f"{self._path}: {name}: anybody could be the API server then")
        if cluster.get("proxy-url"):
            raise Refused(f"{self._path}: proxy-url: is not supported")
        for name in _NOT_READ:
            if user.get(name):
                raise Refused(
                    f"{self._path}: {name}: is not supported; use a client certificate or a token"
                )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise Refused(f"{path}: more than 1 MiB")
    return content
