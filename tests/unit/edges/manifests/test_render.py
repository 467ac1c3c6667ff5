import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.valid import VALID
from tulle.edges.manifests import parse, to_yaml
from tulle.model.kubernetes import Container, ObjectMeta, Pod, PodSpec

READABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize("base", VALID, ids=lambda base: str(base["kind"]))
def test_yaml_gives_the_object_again(base: dict[str, object]) -> None:
    (placed,) = parse(json.dumps(base).encode(), "x").objects
    text = to_yaml(placed.obj)
    assert text.startswith(f"apiVersion: {base['apiVersion']}\nkind: {base['kind']}\nmetadata:\n")
    (again,) = parse(text.encode(), "x").objects
    assert again.obj == placed.obj


@given(READABLE | st.sampled_from(["1e3", "0x1", "0o17", "1_0", "y", "on", "~", "", "<<", "1:30"]))
def test_any_text_survives(text: str) -> None:
    container = Container(name="c", command=("x", text, text))
    metadata = ObjectMeta(name="a", namespace="n", annotations={"a": text})
    pod = Pod(metadata=metadata, spec=PodSpec(containers=(container,)))
    (again,) = parse(to_yaml(pod).encode(), "x").objects
    assert again.obj == pod
