from __future__ import annotations

from tulle.model.dns import name_problem, normal, pattern_problem, split


def test_names_have_one_form() -> None:
    assert normal("API.Example.") == "api.example"


def test_what_no_rule_can_speak_of_is_no_name() -> None:
    assert name_problem("api.example.com.") == ""
    assert name_problem("_sip._udp.example") == ""
    for text in ("", ".", "a..b", "a b.example", "*.example", "a" * 64 + ".example"):
        assert name_problem(text), text


def test_patterns_are_bounded_where_they_are_wild() -> None:
    assert pattern_problem("**.a*b.example") == ""
    assert pattern_problem("*") == ""
    assert pattern_problem(f"{'a' * 61}*.{'b' * 60}.example") == ""
    assert "62 characters" in pattern_problem(f"{'a' * 62}.b*.example")


def test_plain_labels_behind_the_last_wild_one_are_a_suffix() -> None:
    assert split("a.b*.c.d") == ("a.b*", "c.d")
    assert split("a.*") == ("a.*", "")
