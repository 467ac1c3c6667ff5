import pytest

from tulle.edges.manifests.fields import FieldError, quote, show_path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ((), ""),
        (("spec", "ports", 1, "port"), "spec.ports[1].port"),
        (("metadata", "labels", "app.io/x"), 'metadata.labels["app.io/x"]'),
        (("items", 3, "kind"), "items[3].kind"),
        (("a\nb",), '["a\\nb"]'),
        (("a",) * 40, ".".join("a" * 12) + "…"),
    ],
)
def test_paths_are_shown_as_users_write_them(path: tuple[str | int, ...], shown: str) -> None:
    assert show_path(path) == shown


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\u202eabc", "\ud800", "x" * 10_000])
def test_quoted_text_stays_on_one_short_line(text: str) -> None:
    assert quote(text).isprintable()
    assert len(quote(text)) < 200


def test_error_keeps_its_path() -> None:
    error = FieldError("is required", "spec", "ports")
    assert error.path == ("spec", "ports")
    assert str(error) == "spec.ports: is required"
