import json
import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.manifests import hostile_manifests
from tests.hostile.valid import NAMESPACE, SERVICE, VALID
from tulle.edges.manifests import Parsed, parse
from tulle.edges.manifests.parse import MAX_BYTES
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import Namespace, ObjectRef

SHOP = """\
# the shop
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  ports:
    - port: eighty
---
# nothing here
---
apiVersion: v1
kind: Namespace
metadata: {name: other
---
apiVersion: v1
kind: Namespace
metadata: {name: last}
"""


def refs(parsed: Parsed) -> list[str]:
    return [str(ref_of(placed.obj)) for placed in parsed.objects]


def test_each_document_is_an_object_or_one_error() -> None:
    parsed = parse(SHOP.encode(), "shop.yaml")
    assert refs(parsed) == ["Namespace shop", "Namespace last"]
    assert [placed.line for placed in parsed.objects] == [2, 20]
    assert [str(bad.error) for bad in parsed.errors] == [
        "shop.yaml:12:7: spec.ports[0].port: must be a whole number, not text",
        "shop.yaml:19:1: metadata: is not YAML: did not find expected ',' or '}'",
    ]
    assert [bad.ref for bad in parsed.errors] == [ObjectRef("Service", "shop", "web"), None]


@pytest.mark.parametrize("base", VALID, ids=lambda base: str(base["kind"]))
def test_valid_manifests_are_accepted(base: dict[str, object]) -> None:
    parsed = parse(json.dumps(base).encode(), "x.json")
    assert not parsed.errors
    assert [placed.obj.kind for placed in parsed.objects] == [base["kind"]]


def test_a_list_is_taken_apart() -> None:
    items = [NAMESPACE, {**SERVICE, "spec": {}}, 3]
    document = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}
    parsed = parse(json.dumps(document).encode(), "l.json")
    assert refs(parsed) == ["Namespace shop"]
    assert [bad.error.field for bad in parsed.errors] == ["items[1].spec.ports", "items[2]"]


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "# only a remark\n", "---\n", "---\n---\n", "%YAML 1.1\n---\n", "\ufeff", "null"],
)
def test_nothing_gives_nothing(text: str) -> None:
    assert parse(text.encode(), "f") == Parsed()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffapiVersion: v1\nkind: Namespace\nmetadata: {name: a}",
        "%YAML 1.1\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n...\n",
        "apiVersion: v1\r\nkind: Namespace\r\nmetadata: {name: a}\r\n",
        "# remark\rapiVersion: v1\rkind: Namespace\rmetadata: {name: a}\r",
        "--- {apiVersion: v1, kind: Namespace, metadata: {name: a}}",
        '{\n\t"apiVersion": "v1",\n\t"kind": "Namespace",\n\t"metadata": {"name": "a"}\n}',
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: , creationTimestamp: null}",
    ],
)
def test_ways_to_write_one_namespace(text: str) -> None:
    parsed = parse(text.encode(), "f")
    assert not parsed.errors
    assert refs(parsed) == ["Namespace a"]


def test_what_follows_an_end_mark_needs_dashes() -> None:
    one = "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n...\n"
    parsed = parse((one % "a" + one % "b" + "---\n" + one % "c").encode(), "f")
    assert refs(parsed) == ["Namespace c"]
    (bad,) = parsed.errors
    assert bad.ref == ObjectRef("Namespace", "", "a")


def test_lines_may_end_with_a_carriage_return() -> None:
    one = "---\rapiVersion: v1\rkind: Namespace\rmetadata: {name: %s}\r"
    parsed = parse((one % "a" + one % "b c" + one % "d").encode(), "f")
    assert refs(parsed) == ["Namespace a", "Namespace d"]
    assert [placed.line for placed in parsed.objects] == [2, 10]
    assert str(parsed.errors[0].error).startswith("f:8:12: metadata.name: ")


def test_identity_of_a_broken_document_is_only_what_was_whole() -> None:
    broken = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: [\n"
    (bad,) = parse(broken.encode(), "f").errors
    assert bad.ref == ObjectRef("Service", "shop", "web")
    broken = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: [\n"
    (bad,) = parse(broken.encode(), "f").errors
    assert bad.ref is None


def test_size_limit() -> None:
    text = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n#"
    assert not parse(text.ljust(MAX_BYTES, b"x"), "f").errors
    (bad,) = parse(text.ljust(MAX_BYTES + 1, b"x"), "f").errors
    assert "larger than 1 MiB" in str(bad.error)


def test_there_are_200_distinct_hostile_manifests() -> None:
    hostile = hostile_manifests()
    assert len({name for name, _ in hostile}) == len(hostile)
    assert len({data for _, data in hostile}) == len(hostile) >= 200


@pytest.mark.parametrize(
    ("name", "data"), [pytest.param(name, data, id=name) for name, data in hostile_manifests()]
)
def test_a_hostile_manifest_gives_one_clear_error(name: str, data: bytes) -> None:
    started = time.process_time()
    parsed = parse(data, "evil.yaml")
    assert time.process_time() - started < 3  # about 0.5 on a quiet machine
    assert not parsed.objects
    (bad,) = parsed.errors
    said = str(bad.error)
    assert said.startswith("evil.yaml:")
    assert said.isprintable()
    assert len(said) < 400
    assert bad.error.reason


def test_hostile_manifests_need_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _, data in hostile_manifests():
        parse(data, "evil.yaml")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_bad_documents_leave_the_good_ones_alone() -> None:
    """One file of all hostile documents that have an end, with a good one after each."""
    small = [data for _, data in hostile_manifests() if len(data) < 2000 and data.isascii()]
    small = [data for data in small if data.decode().isprintable() or b"{" in data[:1]]
    good = b'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n%d"}}'
    data = b"".join(b"---\n%s\n---\n%s\n" % (bad, good % n) for n, bad in enumerate(small[:300]))
    parsed = parse(data, "f")
    assert len(parsed.objects) == len(parsed.errors) == 300
    assert all(isinstance(placed.obj, Namespace) for placed in parsed.objects)


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed(data: bytes) -> None:
    parse(data, "f")


@given(st.text("{}[]-?:,#&*!|>'\"%@` \n\tab01<~=.", max_size=200))
def test_any_yaml_is_parsed(text: str) -> None:
    for bad in parse(text.encode(), "f").errors:
        assert str(bad.error).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.sampled_from(VALID), st.integers(0, 10_000), JSON)
def test_any_bent_manifest_is_parsed(base: dict[str, object], where: int, value: object) -> None:
    """Replace one value, anywhere; what comes is one object or one error."""
    document = json.loads(json.dumps(base))
    spots = list(_spots(document))
    container, key = spots[where % len(spots)]
    container[key] = value
    parsed = parse(json.dumps(document).encode(), "f")
    assert len(parsed.objects) + len(parsed.errors) == 1


@settings(max_examples=300)
@given(st.sampled_from(VALID), st.data())
def test_any_damaged_manifest_is_parsed(base: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(base, indent=1).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    parse(text[:start] + data.draw(st.binary(max_size=10)) + text[end:], "f")


def _spots(value: object):  # type: ignore[no-untyped-def]
    items = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, item in list(items):
        yield value, key
        if isinstance(item, dict | list):
            yield from _spots(item)
