"""What users choose is checked by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.errors import UsageError
from tulle.install.values import VALUES, check, chosen, defaults, flat, read_words


def test_defaults_are_fit() -> None:
    for value in VALUES:
        check(value.path, value.default)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("image.tags", "1", "image.tags: is not a value; known are image.repository"),
        ("masquerade", "yes", "masquerade: must be true or false"),
        ("operator.replicas", 0, "operator.replicas: must be at least 1"),
        ("operator.replicas", True, "operator.replicas: must be a whole number"),
        ("routing", "bgp", "routing: must be one of native, vxlan"),
        ("cni.binDir", "opt", "cni.binDir: 'opt' does not match ^/"),
        ("secretNamespaces", ["Shop"], "secretNamespaces: 'Shop' does not match"),
        ("secretNamespaces", "shop", "secretNamespaces: must be a list"),
        ("gatewayCidrs", ["10.9.0.0"], "gatewayCidrs: '10.9.0.0' does not match"),
        ("gatewayCidrs", ["10.9.0.1/16"], "gatewayCidrs: 10.9.0.1/16 has host bits set"),
        ("noMasqueradeCidrs", ["10.9.0.0/33"], "noMasqueradeCidrs: '10.9.0.0/33' does not"),
        ("apiServer", "api:6443", "apiServer: 'api:6443' does not match"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        chosen({path: value})
    assert str(refused.value).startswith(reason)


def test_mappings_are_put_together_as_helm_does() -> None:
    given = {"agent.resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": None}}}
    wanted = {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    assert chosen(given)["agent.resources"] == wanted
    assert defaults()["agent.resources"]["requests"]["cpu"] == "100m"


def test_words_of_a_command_line() -> None:
    words = ["image.tag=1.10", "operator.replicas=3", "masquerade=false", 'secretNamespaces=["a"]']
    assert read_words(words) == {
        "image.tag": "1.10",
        "operator.replicas": 3,
        "masquerade": False,
        "secretNamespaces": ["a"],
    }
    for wrong, reason in (
        ("routing", "'routing' is not PATH=VALUE"),
        ("masquerade=no", "masquerade: 'no': must be true or false, as JSON"),
        ("secretNamespaces=a", "secretNamespaces: 'a': must be a list, as JSON"),
    ):
        with pytest.raises(UsageError, match=f"^{reason}$"):
            read_words([wrong])


def test_a_tree_is_read_by_path() -> None:
    assert flat({"cni": {"chained": True}, "xdp": "off"}) == {"cni.chained": True, "xdp": "off"}
    with pytest.raises(UsageError, match="nothing: is not a value"):
        flat({"nothing": 1})
