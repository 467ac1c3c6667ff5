"""What is written is what is read, by any reader of YAML."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tulle.install.yaml_lines import lines

TEXTS = st.text(st.sampled_from([chr(code) for code in range(127)] + ["é", "…"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | TEXTS | st.just("on")
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, TREES, min_size=1) | st.lists(TREES, min_size=1))
def test_what_is_written_is_what_is_read(value: object) -> None:
    assert yaml.safe_load("\n".join(lines(value))) == value
