import pytest

from tulle.edges.manifests import syntax
from tulle.edges.manifests.fields import FieldError
from tulle.model.kubernetes import LabelSelector, LabelSelectorRequirement


@pytest.mark.parametrize("text", ["a", "a-1", "1a", "a" * 63])
def test_dns_labels(text: str) -> None:
    syntax.check_dns_label(text)


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a.b", "a_b", "a" * 64, "a\n", "é"])
def test_not_dns_labels(text: str) -> None:
    with pytest.raises(FieldError, match="RFC 1123"):
        syntax.check_dns_label(text, "metadata", "name")


@pytest.mark.parametrize("text", ["a", "a.b-c.d1", "a" * 253])
def test_dns_subdomains(text: str) -> None:
    syntax.check_dns_subdomain(text)


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "a" * 254, "A.b"])
def test_not_dns_subdomains(text: str) -> None:
    with pytest.raises(FieldError, match="RFC 1123"):
        syntax.check_dns_subdomain(text)


@pytest.mark.parametrize("text", ["http", "a", "x11", "80a", "a-b-c", "a" * 15])
def test_port_names(text: str) -> None:
    syntax.check_port_name(text)


@pytest.mark.parametrize("text", ["", "80", "a" * 16, "a--b", "-a", "a-", "Http", "a_b"])
def test_not_port_names(text: str) -> None:
    with pytest.raises(FieldError, match="RFC 6335"):
        syntax.check_port_name(text)


@pytest.mark.parametrize("key", ["app", "App.v-1_x", "app.kubernetes.io/name", "a" * 63])
@pytest.mark.parametrize("value", ["", "a", "1.10", "A_b-c.D", "x" * 63])
def test_labels(key: str, value: str) -> None:
    syntax.check_labels({key: value})


@pytest.mark.parametrize("key", ["", "/", "a/", "/a", "a/b/c", "-a", "a b", "a" * 64, "B.io/a"])
def test_not_label_keys(key: str) -> None:
    with pytest.raises(FieldError, match="key"):
        syntax.check_labels({key: "x"})


@pytest.mark.parametrize("value", ["-", "a b", "a.", "é", "x" * 64, "a\n"])
def test_not_label_values(value: str) -> None:
    with pytest.raises(FieldError) as caught:
        syntax.check_labels({"app": value}, "metadata", "labels")
    assert caught.value.path == ("metadata", "labels", "app")


@pytest.mark.parametrize(
    ("requirement", "where"),
    [
        (LabelSelectorRequirement("a", "In"), "values"),
        (LabelSelectorRequirement("a", "NotIn"), "values"),
        (LabelSelectorRequirement("a", "Exists", ("b",)), "values"),
        (LabelSelectorRequirement("a", "DoesNotExist", ("b",)), "values"),
        (LabelSelectorRequirement("", "Exists"), "key"),
        (LabelSelectorRequirement("a b", "Exists"), "key"),
    ],
)
def test_not_selectors(requirement: LabelSelectorRequirement, where: str) -> None:
    with pytest.raises(FieldError) as caught:
        syntax.check_selector(LabelSelector(match_expressions=(requirement,)), "podSelector")
    assert caught.value.path == ("podSelector", "matchExpressions", 0, where)


@pytest.mark.parametrize(
    ("text", "canonical"), [("10.1.2.3", "10.1.2.3"), ("FD00:0::01", "fd00::1")]
)
def test_addresses(text: str, canonical: str) -> None:
    assert str(syntax.parse_address(text)) == canonical


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0", "not an IP"),
        ("010.0.0.1", "not an IP"),
        ("10.0.0.1/8", "not an IP"),
        ("fd00::1%eth0", "zone"),
        ("::ffff:10.0.0.1", "written as IPv4"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("169.254.0.1", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - an address to refuse, not to bind to
        ("::", "unspecified"),
        ("255.255.255.255", "broadcast"),
    ],
)
def test_not_addresses(text: str, why: str) -> None:
    with pytest.raises(FieldError, match=why):
        syntax.parse_address(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("FD00:0::/64", "fd00::/64"),
        ("::/0", "::/0"),
    ],
)
def test_cidrs(text: str, canonical: str) -> None:
    assert str(syntax.parse_cidr(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/-1", "10/8", "::ffff:0:0/96"],
)
def test_not_cidrs(text: str) -> None:
    with pytest.raises(FieldError):
        syntax.parse_cidr(text)
