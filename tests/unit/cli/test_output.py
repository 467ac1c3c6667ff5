"""Tables and amounts."""

import doctest

import click

from tulle.cli import output


def test_examples() -> None:
    assert doctest.testmod(output).failed == 0


def test_columns_are_as_wide_as_what_one_sees() -> None:
    red = click.style("no", fg="red")
    assert output.table(("NAME", "READY", "X"), [("a-long-name", red, 1)]).splitlines() == [
        "NAME          READY   X",
        f"a-long-name   {red}      1",
    ]


def test_a_table_without_headers_or_rows() -> None:
    assert output.table((), [("a", "b")], "  ") == "  a   b"
    assert output.table((), []) == ""
