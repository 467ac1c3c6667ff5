import pytest

from tulle.edges.manifests.fields import FieldError
from tulle.edges.manifests.re2 import check_re2


@pytest.mark.parametrize(
    "text",
    ["", "a", "/api/v[0-9]+", r"\d+\.\w*", "(?i)abc", "(?P<name>a|b)?", "a{1,1000}", r"\pL",
     r"\p{Greek}", r"[[:alpha:]]+\z", "a*?b+?", r"\x41\x{1F600}", r"\(?=a\)", "(?s:.)*",
     r"\Qa.b\E"],
)  # fmt: skip
def test_what_the_proxy_reads(text: str) -> None:
    check_re2(text)


@pytest.mark.parametrize(
    "text",
    ["(", "a)", "[a", "*", "a**", r"(a)\1", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "a++",
     "a{1001}", "a{2,1}", r"\y", "(?P=a)", "(?#note)", "(?(1)a)", "a" * 5000, "\\"],
)  # fmt: skip
def test_what_it_does_not(text: str) -> None:
    with pytest.raises(FieldError) as caught:
        check_re2(text, "spec")
    assert caught.value.path == ("spec",)
