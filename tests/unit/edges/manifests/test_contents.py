import json
from pathlib import Path

import pytest

from tests.hostile.gateways import CONFIG_MAP, SECRET
from tulle.edges.manifests import ManifestDirectory, parse
from tulle.model.contents import Secret

_HIDDEN = "hunter2"


def read_secret(**fields: object) -> Secret:
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, **fields}
    (item,) = parse(json.dumps(document).encode(), "f").objects
    assert isinstance(item.obj, Secret)
    return item.obj


def test_text_is_kept_as_data() -> None:
    secret = read_secret(data={"a": "YWFh\nYWFh\n", "b": "YQ=="}, stringData={"b": "b", "c": ""})
    assert secret.data == {"a": "YWFhYWFh", "b": "Yg==", "c": ""}
    assert not secret.string_data


@pytest.mark.parametrize(
    "text",
    [
        f"data: {{a: '{_HIDDEN}!'}}",
        f"data: {{a: 123{_HIDDEN}\n",
        "stringData: {pw: 0123456789}",
        "stringData: {pw: 9999999999999999999999999}",
        f"stringData: {{pw: ['{_HIDDEN}']}}",
        f"stringData: {{pw: !secret {_HIDDEN}}}",
        f"stringData: '{_HIDDEN}'",
        f"type: kubernetes.io/tls\nstringData: {{tls.crt: {_HIDDEN}}}",
    ],
)
def test_no_error_shows_what_a_secret_holds(text: str) -> None:
    data = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\n{text}\n"
    (bad,) = parse(data.encode(), "f").errors
    for hidden in (_HIDDEN, "0123456789", "99999999"):
        assert hidden not in str(bad.error)


def test_no_text_of_a_secret_shows_what_it_holds() -> None:
    secret = read_secret(stringData={"pw": _HIDDEN})
    for shown in (repr(secret), str(secret), f"{secret}", repr([secret])):
        assert "aHVudGVyMg" not in shown
        assert _HIDDEN not in shown


def test_files_with_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    last_good = tmp_path / "last-good.json"
    directory = ManifestDirectory(tmp_path / "manifests", last_good)
    directory.scan()
    directory.put(read_secret(stringData={"pw": _HIDDEN}))
    directory.scan()
    (written,) = (tmp_path / "manifests").iterdir()
    assert "aHVudGVyMg" in last_good.read_text()
    for path in (written, last_good):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_tls_secret_has_both_halves() -> None:
    half = {**SECRET, "data": {"tls.crt": "YQ=="}}
    (bad,) = parse(json.dumps(half).encode(), "f").errors
    assert 'data["tls.key"]: is required for type kubernetes.io/tls' in str(bad.error)


def test_a_key_is_in_one_of_a_config_maps_parts() -> None:
    (bad,) = parse(json.dumps({**CONFIG_MAP, "data": {"more": "x"}}).encode(), "f").errors
    assert "binaryData.more: is a key of data too" in str(bad.error)
