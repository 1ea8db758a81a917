"""The settings that say who the bidder is to the Transparency and Consent Framework."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bidder.config import Settings


def test_without_settings_there_is_no_vendor() -> None:
    """And no purpose rests on a legitimate interest."""
    settings = Settings(tcf_vendor_id=0, tcf_legitimate_interest="", tcf_flexible="")
    assert (settings.tcf_vendor_id, settings.tcf_purposes()) == (0, (frozenset(), frozenset()))


def test_purposes_are_read_from_a_list() -> None:
    """Separated by commas; spaces do no harm."""
    settings = Settings(tcf_legitimate_interest="2, 7,9 ,10", tcf_flexible="2")
    assert settings.tcf_purposes() == ({2, 7, 9, 10}, {2})


@pytest.mark.parametrize(
    ("field", "value"), [("tcf_legitimate_interest", "3"), ("tcf_legitimate_interest", "two"), ("tcf_flexible", "1")]
)
def test_a_purpose_that_cannot_be_is_named(field: str, value: str) -> None:
    """With the setting, what was given, and what would be right."""
    with pytest.raises(ValidationError, match=f"BIDDER_{field.upper()}: '{value}' is none of the purposes"):
        Settings(**{field: value})
