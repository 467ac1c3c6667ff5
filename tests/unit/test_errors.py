import re

import pytest

from tulle import errors
from tulle.errors import KernelError, ManifestError, TulleError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ManifestError("bad", file="a.yaml", line=3, column=5, field="x.y"),
            "a.yaml:3:5: x.y: bad",
        ),
        (ManifestError("bad", file="a.yaml"), "a.yaml: bad"),
        (ManifestError("bad", field="x"), "x: bad"),
        (ManifestError("bad"), "bad"),
        (KernelError(28, "map 'policy' update"), "map 'policy' update: No space left on device"),
        (KernelError(22, "load", "R1 invalid"), "load: Invalid argument\nR1 invalid"),
    ],
)
def test_what_errors_say(error: TulleError, said: str) -> None:
    assert str(error) == said


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^[│├└─ ]*(\w+)", errors.__doc__ or "", re.MULTILINE)
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert classes <= set(drawn)
    for name in classes:
        assert issubclass(getattr(errors, name), TulleError)
