"""Versions are ordered as rattler orders them (CEP 33)."""

from __future__ import annotations

import re
from typing import Any

import rattler
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice.conda.record_fields import is_version
from sluice.conda.version import Version

# Of few parts, so that two versions often differ in one of them only.
PARTS = ("0", "1", "01", "2", "10", "a", "b", "rc", "dev", "post", "_", ".", "+", "1!")
VERSIONS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map("".join).filter(is_version)
_LETTER_AND_UNDERSCORE = re.compile(r"[a-z]_(\+|$)")


@given(VERSIONS, VERSIONS)
def test_any_two_versions_are_ordered_as_in_rattler(one: str, other: str) -> None:
    assume(not any(map(rattler_parts_what_cep_33_keeps_together, (one, other))))
    ours, theirs = (Version(one), Version(other)), (rattler.Version(one), rattler.Version(other))
    assert compare(*ours) == compare(*theirs)


def test_rattler_parts_letters_and_an_underscore_at_the_end() -> None:
    """Once this fails, rattler does as the CEP says, and nothing is left out above."""
    assert rattler.Version("1a_") < rattler.Version("1a1")
    assert Version("1a1") < Version("1a_")


def rattler_parts_what_cep_33_keeps_together(version: str) -> bool:
    return _LETTER_AND_UNDERSCORE.search(version) is not None


def compare(one: Any, other: Any) -> tuple[bool, bool]:
    return one < other, one == other
