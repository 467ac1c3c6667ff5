import random

import pytest

from tulle.edges.manifests.parse import Parsed, Placed, parse
from tulle.edges.manifests.settle import Settlement
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef

A, B = ObjectRef("Namespace", "", "a"), ObjectRef("Namespace", "", "b")
GOOD_A = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
NEW_A = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {new: yes-it-is}}\n"
BAD_A = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: 3}\n"
GOOD_B = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"
GARBAGE = "{[\n"


def files(**texts: str) -> dict[str, Parsed]:
    """`x="…"` is the file x.yaml; documents within it are joined by ---."""
    return {f"{name}.yaml": parse(text.encode(), f"{name}.yaml") for name, text in texts.items()}


def after(*steps: dict[str, Parsed]) -> tuple[dict[ObjectRef, Placed], list[str]]:
    """What is in force, and the refusals, when the directory held each of these in turn."""
    settled = Settlement()
    for step in steps:
        take(settled, step)
        check_kinds(settled)
    return settled.held, [f"{refusal.ref}: {refusal.reason}" for refusal in settled.refusals()]


def take(settled: Settlement, step: dict[str, Parsed]) -> list[ObjectRef]:
    """Only what changed is told, as by a watch."""
    known = settled.files
    gone: dict[str, Parsed | None] = dict.fromkeys(known.keys() - step.keys())
    changed = {file: parsed for file, parsed in step.items() if known.get(file) != parsed}
    return settled.read_anew({**gone, **changed}, whole=False)


def check_kinds(settled: Settlement) -> None:
    objects = {ref_of(obj): obj for named in settled.kinds.values() for obj in named.values()}
    assert objects == {ref: item.obj for ref, item in settled.held.items()}


def both(one: str, other: str) -> str:
    return f"{one}---\n{other}"


def test_good_objects_are_in_force() -> None:
    held, refusals = after(files(x=both(GOOD_A, GOOD_B)))
    assert {ref: old.place for ref, old in held.items()} == {A: "x.yaml:1", B: "x.yaml:5"}
    assert not refusals


def test_a_bad_version_keeps_the_good_one() -> None:
    held, refusals = after(files(x=GOOD_A), files(x=BAD_A))
    assert set(held) == {A}
    assert refusals == [
        "Namespace a: x.yaml:3:21: metadata.labels: must be a mapping, not a whole number; "
        "the previous version stays in force"
    ]


def test_a_bad_new_object_is_not_in_force() -> None:
    held, refusals = after(files(x=both(BAD_A, GOOD_B)))
    assert set(held) == {B}
    assert "stays in force" not in refusals[0]


def test_it_stays_for_as_long_as_it_is_bad_and_then_changes() -> None:
    held, refusals = after(files(x=GOOD_A), files(x=BAD_A), files(x=BAD_A), files(x=NEW_A))
    assert held[A].obj.metadata.labels == {"new": "yes-it-is"}
    assert not refusals


@pytest.mark.parametrize("then", [files(), files(x=""), files(x=GOOD_B), files(x="# none\n")])
def test_an_object_leaves_when_its_document_is_gone(then: dict[str, Parsed]) -> None:
    held, refusals = after(files(x=GOOD_A), then)
    assert A not in held
    assert not refusals


def test_an_object_leaves_beside_a_bad_one_that_says_what_it_is() -> None:
    held, _ = after(files(x=both(BAD_A, GOOD_B)), files(x=BAD_A))
    assert not held


def test_garbage_keeps_everything_that_it_may_have_been() -> None:
    held, refusals = after(files(x=both(GOOD_A, GOOD_B), y=""), files(x=both(GARBAGE, GOOD_B)))
    assert set(held) == {A, B}
    assert refusals[0].startswith("Manifest x.yaml: x.yaml:1:2: a key must be text")
    assert refusals[0].endswith("; Namespace a: the previous version stays in force")


def test_garbage_in_another_file_keeps_nothing() -> None:
    held, _ = after(files(x=GOOD_A, y=GOOD_B), files(y=both(GOOD_B, GARBAGE)))
    assert set(held) == {B}


def test_of_two_files_the_first_wins() -> None:
    held, refusals = after(files(x=GOOD_A, y=NEW_A))
    assert held[A].file == "x.yaml"
    assert refusals == ["Namespace a: y.yaml:1: defined at x.yaml:1 already, which stays in force"]


def test_of_two_documents_the_first_wins() -> None:
    held, refusals = after(files(x=both(GOOD_A, NEW_A)))
    assert not held[A].obj.metadata.labels
    assert refusals == ["Namespace a: x.yaml:5: defined at x.yaml:1 already, which stays in force"]


def test_the_second_steps_in_when_the_first_is_gone_but_not_when_it_is_bad() -> None:
    held, refusals = after(files(x=GOOD_A, y=NEW_A), files(x=BAD_A, y=NEW_A))
    assert held[A].file == "x.yaml"
    assert len(refusals) == 2
    held, refusals = after(files(x=GOOD_A, y=NEW_A), files(y=NEW_A))
    assert held[A].file == "y.yaml"
    assert not refusals


def test_a_bad_document_does_not_displace_a_good_one_elsewhere() -> None:
    held, refusals = after(files(x=GOOD_A), files(a=BAD_A, x=GOOD_A))
    assert held[A].file == "x.yaml"
    assert refusals[0].endswith("; the version at x.yaml:1 stays in force")


def test_an_object_may_move_to_another_file() -> None:
    held, refusals = after(files(x=GOOD_A), files(y=NEW_A))
    assert held[A].file == "y.yaml"
    assert not refusals


def test_long_lists_are_cut() -> None:
    many = "---\n".join(GOOD_A.replace("a}", f"n{n}}}") for n in range(9))
    _, refusals = after(files(x=many), files(x=GARBAGE))
    assert "Namespace n4 and 4 more: the previous version stays in force" in refusals[0]


def test_what_says_the_same_stays_the_same_object() -> None:
    settled = Settlement()
    take(settled, files(x=both(GOOD_A, GOOD_B)))
    before = settled.kinds["Namespace"]
    assert take(settled, files(x=both(GOOD_A, GOOD_B) + "# a remark")) == []
    assert settled.kinds["Namespace"] is before
    assert take(settled, files(x=both(NEW_A, GOOD_B))) == [A]
    after = settled.kinds["Namespace"]
    assert after["b"] is before["b"] and after["a"] is not before["a"]
    assert take(settled, files(y=both(NEW_A, GOOD_B))) == [A, B]  # they are at another place
    assert settled.kinds["Namespace"] is after
    assert settled.files["y.yaml"].objects[0].obj is after["a"]


def test_what_was_remembered_counts_only_where_a_file_is_not_good() -> None:
    old = {item.file: item for item in parse(GOOD_A.encode(), "x.yaml").objects}
    for text, present in (("", False), (GOOD_B, False), (BAD_A, True), (GARBAGE, True)):
        settled = Settlement({"x.yaml": [A], "gone.yaml": [B]}, lambda _: old["x.yaml"])
        settled.read_anew(files(x=text), whole=True)
        assert (A in settled.held) is present
        take(settled, files(x=""))
        assert A not in settled.held


def test_while_files_are_not_to_be_read_all_that_was_remembered_is_in_force() -> None:
    (old,) = parse(GOOD_A.encode(), "x.yaml").objects
    settled = Settlement({"x.yaml": [A, B]}, lambda ref: old if ref == A else None)
    assert settled.recall_all() == [A]
    assert settled.recall_all() == []
    assert settled.read_anew(files(y=GOOD_B), whole=True) == [A, B]
    assert set(settled.held) == {B}


def random_text(rng: random.Random) -> str:
    documents = (GOOD_A, NEW_A, BAD_A, GOOD_B, GARBAGE, "# none\n")
    return "---\n".join(rng.choices(documents, k=rng.randrange(3)))


def test_telling_of_changed_files_gives_what_reading_all_gives() -> None:
    """Against the rule itself, written down without any memory but what was in force."""
    rng = random.Random(3)
    for _ in range(300):
        settled, present = Settlement(), {}
        expected: dict[ObjectRef, Placed] = {}
        for _ in range(6):
            for name in rng.sample("xyz", rng.randrange(1, 3)):
                present[name] = random_text(rng)
            now = files(**present)
            expected = by_the_rule(now, expected)
            take(settled, now)
            assert settled.held == expected, present
            check_kinds(settled)


def by_the_rule(now: dict[str, Parsed], before: dict[ObjectRef, Placed]) -> dict[ObjectRef, Placed]:
    held = {}
    for ref, old in before.items():
        parsed = now.get(old.file, Parsed())
        bad = {document.ref for document in parsed.errors}
        if bad & {ref, None} and ref not in {ref_of(item.obj) for item in parsed.objects}:
            held[ref] = old
    for file in sorted(now):
        for item in now[file].objects:
            held.setdefault(ref_of(item.obj), item)
    return held
