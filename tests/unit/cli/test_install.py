"""`tulle install` without a cluster: what it prints, and what it refuses by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tulle.errors import Refused, UsageError

from .conftest import Cli

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_a_dry_run_prints_the_manifests(cli: Cli) -> None:
    printed = list(yaml.safe_load_all(cli("install", "--dry-run").stdout))
    assert printed == list(yaml.safe_load_all((DEPLOY / "tulle.yaml").read_text()))
    assert json.loads(cli("install", "--dry-run", "-o", "json").stdout)["items"] == printed


def test_values_come_from_a_file_and_words_go_before_them(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("image: {repository: mine, tag: a}\ncni: {binDir: /x}\n")
    words = ("install", "--dry-run", "-f", str(path), "--set", "image.tag=b", "-n", "mesh")
    printed = cli(*words).stdout
    assert 'image: "mine:b"' in printed
    assert "path: /x" in printed
    assert "namespace: mesh" in printed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("imag: {tag: a}", "imag.tag: is not a value"),
        ("- a", "must be a mapping"),
        ("\na: [", r"values.yaml:3:1: is not YAML: did not find expected node content$"),
        ("routing: bgp", "routing: must be one of"),
    ],
)
def test_a_file_that_is_wrong(cli: Cli, tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        cli("install", "--dry-run", "-f", str(path))


def test_what_is_not_there_and_what_no_namespace_is_called(cli: Cli, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/nowhere: No such file or directory$"):
        cli("install", "--dry-run", "-f", str(tmp_path / "nowhere"))
    for words in (("install", "--dry-run"), ("host", "db-1")):
        with pytest.raises(UsageError, match=r"^--namespace: 'A b' cannot be a namespace's name"):
            cli(*words, "-n", "A b")


def test_without_a_kubeconfig(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no kubeconfig: name one with --kubeconfig"):
        cli("install")
    with pytest.raises(Refused, match="nowhere: No such file"):
        cli("install", "--kubeconfig", str(tmp_path / "nowhere"))
