"""Every reason of the border has its words."""

from tulle.abi import Reason
from tulle.observe.reasons import HUBBLE, TEXT, name_of, text_of

REAL = [item for item in Reason if item is not Reason.MAX]


def test_no_reason_is_forgotten() -> None:
    assert set(TEXT) == set(REAL)
    assert set(HUBBLE) == {item for item in REAL if item >= Reason.DROP}


def test_names() -> None:
    assert name_of(64) == "POLICY_DENIED"
    assert name_of(9999) == "9999"
    assert text_of(9999) == "reason 9999"
