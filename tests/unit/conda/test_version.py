"""The order of versions, by the examples of CEP 33."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sluice.conda.version import Version

ASCENDING = [
    ["0.4", "0.4.0"],
    ["0.4.1.rc", "0.4.1.RC"],
    ["0.4.1+local"],
    ["0.4.1+0.local"],
    ["0.4.1", "0.4.1+0"],
    ["0.4.1+1.local"],
    ["0.5a1"],
    ["0.5b3"],
    ["0.5C1"],
    ["0.5"],
    ["0.9.6"],
    ["0.960923"],
    ["1.0"],
    ["1.1dev1"],
    ["1.1a1"],
    ["1.1.0dev1", "1.1.dev1"],
    ["1.1.a1"],
    ["1.1.0rc1", "1.1.rc1"],
    ["1.1", "1.1.0", "1.1.0.0"],
    ["1.1.post1", "1.1.0post1"],
    ["1.1post1"],
    ["1996.07.12"],
    ["1!0.4.1"],
    ["1!3.1.1.6"],
    ["2!0.4.1"],
]


def test_the_examples_of_the_cep_are_in_order() -> None:
    versions = [Version(text) for equal in ASCENDING for text in equal]
    ranks = [rank for rank, equal in enumerate(ASCENDING) for _ in equal]
    for one, rank in zip(versions, ranks, strict=True):
        assert [one < other for other in versions] == [rank < other for other in ranks]
        assert [one == other for other in versions] == [rank == other for other in ranks]


@pytest.mark.parametrize(
    "ascending",
    [
        ["1.0.1_", "1.0.1a", "1.0.1"],
        ["1a1", "1a_"],
        ["1.9", "1.10"],
        ["2024.1.1", "1!0"],
    ],
)
def test_what_the_examples_leave_out_is_in_order(ascending: list[str]) -> None:
    assert all(Version(one) < Version(other) for one, other in pairwise(ascending))


@pytest.mark.parametrize(("one", "other"), [("1.01", "1.1"), ("1_2", "1-2"), ("1.2", "1_2")])
def test_zeros_in_front_and_the_kind_of_separator_make_no_difference(one: str, other: str) -> None:
    assert Version(one) == Version(other)


def test_a_version_is_no_other_thing() -> None:
    assert Version("1") != "1"


def test_versions_cannot_be_put_into_a_set() -> None:
    with pytest.raises(TypeError):
        hash(Version("1"))
