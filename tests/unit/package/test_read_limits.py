"""The limits of the first lane: what real packages stay below, and what they hold back."""

from __future__ import annotations

import bz2
from dataclasses import replace
from random import Random

import pytest

from sluice.errors import BadPackage, LimitExceeded
from sluice.limits import FIRST_READ_INDEX_BYTES_MAX, MIB
from sluice.package.read_limits import FIRST_READ, FULL_READ, ReadLimits
from sluice.package.reader import PackageContents, read_package
from testkit.memory_store import MemoryStore
from tests.support.package_archives import (
    CONDA,
    INDEX,
    TAR_BZ2,
    Entry,
    conda,
    index_entry,
    tar,
    tar_bz2,
)

BEFORE = Entry("info/licenses/long.txt", bytes(FIRST_READ_INDEX_BYTES_MAX))
BEHIND = Entry("info/test/data", bytes(FIRST_READ_INDEX_BYTES_MAX))
NOISE = Random(0).randbytes(MIB)  # noqa: S311 - nothing that is unpacked at once
NO_TIME = replace(FIRST_READ, cpu_seconds_max=-1.0)
NO_WHOLE_READ = replace(FIRST_READ, whole_read_bytes_max=0)
FORMATS = [(CONDA, conda), (TAR_BZ2, tar_bz2)]
CLAIMS = {"package-sha256": "a" * 64}


def read(
    name: str, body: bytes, limits: ReadLimits, **metadata: str
) -> PackageContents | BadPackage:
    store = MemoryStore()
    store.upload(f"noarch/{name}", body, metadata=metadata)
    package = read_package(
        store, f"noarch/{name}", limits, size_hint=None, trust_uploader_digests=True
    )
    assert package is not None
    return package.outcome


def code(outcome: PackageContents | BadPackage) -> str:
    assert isinstance(outcome, LimitExceeded)
    return outcome.code


def test_the_full_limits_are_the_higher_ones() -> None:
    assert FIRST_READ.index_bytes_max < FULL_READ.index_bytes_max
    assert FIRST_READ.cpu_seconds_max < FULL_READ.cpu_seconds_max
    assert FIRST_READ.whole_read_bytes_max < FULL_READ.whole_read_bytes_max


@pytest.mark.parametrize(("name", "make"), FORMATS, ids=[CONDA, TAR_BZ2])
def test_a_package_with_its_index_in_front_stays_below_the_first_limits(
    name: str, make: type
) -> None:
    outcome = read(name, make(index_entry(), BEHIND), FIRST_READ)
    assert isinstance(outcome, PackageContents)
    assert outcome.index == INDEX


@pytest.mark.parametrize(("name", "make"), FORMATS, ids=[CONDA, TAR_BZ2])
def test_an_index_far_behind_exceeds_the_first_limits_and_not_the_full_ones(
    name: str, make: type
) -> None:
    body = make(BEFORE, index_entry())
    assert code(read(name, body, FIRST_READ)) == "info-too-large"
    outcome = read(name, body, FULL_READ)
    assert isinstance(outcome, PackageContents)
    assert outcome.index == INDEX


@pytest.mark.parametrize(("name", "make"), FORMATS, ids=[CONDA, TAR_BZ2])
def test_what_takes_more_time_than_there_is_exceeds_the_limits(name: str, make: type) -> None:
    body = make(index_entry(), Entry("info/test/data", NOISE))
    assert code(read(name, body, NO_TIME)) == "unpacking-too-slow"
    assert isinstance(read(name, body, FULL_READ), PackageContents)


@pytest.mark.parametrize(("name", "make"), FORMATS, ids=[CONDA, TAR_BZ2])
def test_a_large_package_is_not_read_whole_where_that_takes_long(
    monkeypatch: pytest.MonkeyPatch, name: str, make: type
) -> None:
    monkeypatch.setattr("sluice.package.reader.SMALL_PACKAGE_BYTES_MAX", 0)
    body = make(index_entry())
    assert code(read(name, body, NO_WHOLE_READ)) == "hashing-too-slow"
    assert isinstance(read(name, body, FULL_READ), PackageContents)
    # Nothing has to be hashed where the digest is known.
    assert isinstance(read(name, body, NO_WHOLE_READ, **CLAIMS), PackageContents)


def test_what_is_not_read_whole_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.package.reader.SMALL_PACKAGE_BYTES_MAX", 0)
    store = MemoryStore()
    store.upload(f"noarch/{CONDA}", conda(index_entry()))
    read_package(
        store, f"noarch/{CONDA}", NO_WHOLE_READ, size_hint=None, trust_uploader_digests=True
    )
    assert [operation for operation, _ in store.operations()] == ["HeadObject"]


def test_a_bomb_exceeds_the_first_limits_after_little_work() -> None:
    bomb = bz2.compress(tar([Entry("lib/zeros", bytes(80 * MIB))]))
    assert len(bomb) < MIB
    assert code(read(TAR_BZ2, bomb, FIRST_READ)) == "info-too-large"
    assert code(read(TAR_BZ2, bomb, FULL_READ)) == "info-too-large"


@pytest.mark.parametrize(
    ("name", "body"), [(CONDA, b"no zip"), (TAR_BZ2, b"no bz2"), (TAR_BZ2, b"")]
)
def test_what_can_never_be_indexed_is_no_matter_of_limits(name: str, body: bytes) -> None:
    outcome = read(name, body, FIRST_READ)
    assert isinstance(outcome, BadPackage)
    assert not isinstance(outcome, LimitExceeded)
