"""Kubeconfigs and service accounts: what is read, and what is refused by name."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from tulle.edges.kubernetes.config import from_kubeconfig, from_pod
from tulle.errors import Refused

SERVER = "https://[fd00::1]:6443/"


def kubeconfig(
    directory: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None
) -> Path:
    path = directory / "config"
    content = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "bare", "context": {"cluster": "c", "user": ""}},
            {"name": "lost", "context": {"cluster": "elsewhere", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_all_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"CA")
    encoded = base64.b64encode(b"KEY").decode()
    path = kubeconfig(
        tmp_path,
        {"certificate-authority": "ca.pem", "tls-server-name": "api"},
        {"client-certificate": "ca.pem", "client-key-data": encoded, "tokenFile": "t"},
    )
    access = from_kubeconfig(path)
    assert access.server == "https://[fd00::1]:6443"
    assert (access.ca, access.cert, access.key) == (b"CA", b"CA", b"KEY")
    assert access.token_file == tmp_path / "t", "from where the kubeconfig is"
    assert (access.namespace, access.server_name) == ("shop", "api")
    assert "KEY" not in repr(access)


def test_another_context_and_server(tmp_path: Path) -> None:
    access = from_kubeconfig(kubeconfig(tmp_path), "bare", server="https://api:1")
    assert (access.server, access.namespace, access.token) == ("https://api:1", "default", "")


@pytest.mark.parametrize(
    ("cluster", "user", "named"),
    [
        ({"server": "api:6443"}, {}, "server"),
        ({"server": ["https://api"]}, {}, "server: must be a string"),
        ({"server": "https://me:secret@api"}, {}, "server"),
        ({"server": "https://api?x=1"}, {}, "server"),
        ({"server": "https://api:99999"}, {}, "server"),
        ({"server": "http://api"}, {"token": "T"}, "in the clear"),
        ({"insecure-skip-tls-verify": True}, {}, "insecure-skip-tls-verify"),
        ({"proxy-url": "http://p"}, {}, "proxy-url"),
        ({"certificate-authority": "none.pem"}, {}, "none.pem"),
        ({"certificate-authority-data": "§"}, {}, "certificate-authority-data"),
        ({}, {"exec": {"command": "x"}}, "exec"),
        ({}, {"auth-provider": {"name": "x"}}, "auth-provider"),
        ({}, {"username": "x", "password": "T"}, "username"),
        ({}, {"as": "admin"}, "as"),
        ({}, {"client-certificate-data": "QUJD"}, "client-key"),
    ],
)
def test_refused_by_name(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], named: str
) -> None:
    with pytest.raises(Refused, match=named) as refusal:
        from_kubeconfig(kubeconfig(tmp_path, cluster, user))
    assert "secret" not in str(refusal.value).replace("me:secret@api", "")


def test_what_is_no_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "config"
    with pytest.raises(Refused, match="No such file"):
        from_kubeconfig(path)
    for text, named in [
        ("token: [SECRET", "no YAML"),
        ("- a", "must be an object"),
        ("{}", "current-context"),
        ("current-context: x", "contexts"),
        ("current-context: x\ncontexts: [1, {name: x}]", r"contexts\[x\].context: missing"),
    ]:
        path.write_text(text)
        with pytest.raises(Refused, match=named) as refusal:
            from_kubeconfig(path)
        assert "SECRET" not in str(refusal.value)
    path.write_bytes(b"#" * (1 << 20) + b"##")
    with pytest.raises(Refused, match="more than 1 MiB"):
        from_kubeconfig(path)
    with pytest.raises(Refused, match="elsewhere"):
        from_kubeconfig(kubeconfig(tmp_path), "lost")


def account(directory: Path) -> Path:
    for name, content in [("ca.crt", "CA"), ("token", "T"), ("namespace", "tulle-system\n")]:
        (directory / name).write_text(content)
    return directory


def test_a_service_account(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = from_pod(directory=account(tmp_path), environment=environment)
    assert access.server == "https://[fd00::1]:443"
    assert (access.ca, access.namespace) == (b"CA", "tulle-system")
    assert access.token_file == tmp_path / "token"
    assert from_pod("https://10.0.0.1:6443", directory=tmp_path).server == "https://10.0.0.1:6443"


def test_not_in_a_pod(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="KUBERNETES_SERVICE_HOST"):
        from_pod(directory=tmp_path, environment={})
    with pytest.raises(Refused, match=r"ca\.crt"):
        from_pod("https://api", directory=tmp_path)
    with pytest.raises(Refused, match="in the clear"):
        from_pod("http://api", directory=account(tmp_path))
