import pytest

from tulle.edges.manifests.parse import Parsed, parse
from tulle.edges.manifests.settle import Held, settle
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


def after(*steps: dict[str, Parsed]) -> tuple[dict[ObjectRef, Held], list[str]]:
    held: dict[ObjectRef, Held] = {}
    refusals = []
    for step in steps:
        held, refusals = settle(step, held)
    return held, [f"{refusal.ref}: {refusal.reason}" for refusal in refusals]


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
