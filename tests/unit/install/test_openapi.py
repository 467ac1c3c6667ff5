"""Types become schemas with their limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, field

from tulle.install.openapi import schema_of
from tulle.model.kubernetes import Object
from tulle.model.references import Duration


class Inner(Object, frozen=True):
    number: Annotated[int, Meta(ge=1, le=9)] = 2


class Outer(Object, frozen=True):
    """What it is.

    And more.
    """

    word: Literal["a", "b"]
    some_time: Duration = ""
    inner: Inner | None = None
    texts: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=3)] = ()
    on: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    anything: Any = None


def test_fields_limits_and_defaults() -> None:
    assert schema_of(Outer) == {
        "type": "object",
        "description": "What it is.\n\nAnd more.",
        "required": ["word"],
        "properties": {
            "word": {"type": "string", "enum": ["a", "b"]},
            "someTime": {
                "type": "string",
                "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$",
                "maxLength": 28,
            },
            "inner": {
                "type": "object",
                "properties": {
                    "number": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2}
                },
            },
            "texts": {
                "type": "array",
                "maxItems": 3,
                "items": {"type": "string", "minLength": 1},
            },
            "on": {"type": "boolean", "default": False},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "anything": {"x-kubernetes-preserve-unknown-fields": True},
        },
    }


def test_what_has_no_schema_is_an_error() -> None:
    class Odd(Object, frozen=True):
        either: int | str

    with pytest.raises(TypeError, match="no schema for"):
        schema_of(Odd)
