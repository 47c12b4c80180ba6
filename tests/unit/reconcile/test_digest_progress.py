"""What is checked next, and what is remembered of it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from sluice import zstd
from sluice.catalog.codec import pack_plain
from sluice.catalog.tree import EMPTY_TREE
from sluice.errors import Corrupt
from sluice.limits import (
    DIGEST_CHECK_BYTES_MAX,
    DIGEST_CHECK_PACKAGES_MAX,
    SMALL_PACKAGE_BYTES_MAX,
)
from sluice.reconcile import digest_progress
from sluice.reconcile.digest_progress import (
    DAY_MS,
    Candidate,
    DigestBudget,
    DigestProgress,
    decode_digest_progress,
    false_digest,
    find_candidates,
)
from sluice.reconcile.listing import Listing
from sluice.storage.object_store import ETag, ObjectInfo

LARGE = SMALL_PACKAGE_BYTES_MAX + 1
NOW_MS = 20_000 * DAY_MS
NOTHING = DigestProgress()


def listing(*files: tuple[str, int, int]) -> Listing:
    """A listing of files by name, modification time and size."""
    listed = Listing()
    for filename, modified, size in files:
        etag = ETag(f'"{sha256(filename.encode()).hexdigest()}"')
        listed.add(filename, ObjectInfo(filename, etag, size, modified))
    return listed


def some(count: int, size: int = LARGE) -> list[Candidate]:
    listed = listing(*((f"p{number}-1-0.conda", number, size) for number in range(count)))
    return find_candidates(listed, EMPTY_TREE)


def test_large_packages_are_candidates_the_oldest_first() -> None:
    listed = listing(
        ("b-1-0.conda", 2, LARGE),
        ("a-1-0.conda", 2, LARGE),
        ("c-1-0.conda", 1, LARGE),
        ("d-1-0.conda", 0, SMALL_PACKAGE_BYTES_MAX),
    )
    found = [one.filename for one in find_candidates(listed, EMPTY_TREE)]
    assert found == ["c-1-0.conda", "a-1-0.conda", "b-1-0.conda"]


def test_of_too_many_the_youngest_are_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_progress, "DIGEST_CHECKS_REMEMBERED_MAX", 2)
    assert [one.identity.modified for one in some(4)] == [2, 3]


@pytest.mark.parametrize("change", ["etag", "modified", "size"])
def test_another_upload_is_another_candidate(change: str) -> None:
    before = listing(("a-1-0.conda", 1, LARGE))
    after = Listing()
    values = {"etag": ETag("other"), "modified": 2, "size": LARGE + 1}
    old = before.names["a"]["a-1-0.conda"]
    info = {"etag": ETag(old.etag), "modified": old.modified, "size": old.size}
    info[change] = values[change]
    after.add("a-1-0.conda", ObjectInfo("a-1-0.conda", **info))  # type: ignore[arg-type]
    (one,), (other,) = find_candidates(before, EMPTY_TREE), find_candidates(after, EMPTY_TREE)
    assert one.checked != other.checked


def test_a_day_has_so_many_packages() -> None:
    candidates = some(DIGEST_CHECK_PACKAGES_MAX + 1)
    budget = DigestBudget(NOTHING, now_ms=NOW_MS)
    taken = [budget.take(one) for one in candidates]
    assert taken == [True] * DIGEST_CHECK_PACKAGES_MAX + [False]
    stored = budget.progress(candidates)
    assert DigestBudget(stored, now_ms=NOW_MS + DAY_MS - 1).is_used_up
    assert not DigestBudget(stored, now_ms=NOW_MS + DAY_MS).is_used_up


def test_a_day_has_so_many_bytes_but_one_package_at_least() -> None:
    half, huge = DIGEST_CHECK_BYTES_MAX // 2, DIGEST_CHECK_BYTES_MAX + 1
    budget = DigestBudget(NOTHING, now_ms=NOW_MS)
    assert [budget.take(one) for one in some(3, half)] == [True, True, False]
    budget = DigestBudget(NOTHING, now_ms=NOW_MS)
    assert [budget.take(one) for one in some(2, huge)] == [True, False]


def test_what_began_and_did_not_end_comes_last() -> None:
    candidates = some(3)
    budget = DigestBudget(NOTHING, now_ms=NOW_MS)
    budget.take(candidates[0])
    later = DigestBudget(budget.progress(candidates), now_ms=NOW_MS + DAY_MS)
    assert later.unchecked(candidates) == [*candidates[1:], candidates[0]]
    later.finish(candidates[0], is_true=True)
    assert later.unchecked(candidates) == candidates[1:]


def test_a_package_with_false_digests_is_not_remembered_as_checked() -> None:
    candidates = some(1)
    budget = DigestBudget(NOTHING, now_ms=NOW_MS)
    budget.take(candidates[0])
    budget.finish(candidates[0], is_true=False)
    assert budget.unchecked(candidates) == candidates


def test_a_day_on_which_nothing_is_checked_changes_nothing() -> None:
    candidates = some(2)
    budget = DigestBudget(NOTHING, now_ms=NOW_MS)
    for one in candidates:
        budget.take(one)
        budget.finish(one, is_true=True)
    stored = budget.progress(candidates)
    assert DigestBudget(stored, now_ms=NOW_MS + 9 * DAY_MS).progress(candidates) == stored


@pytest.mark.parametrize(
    ("sha256_from", "md5_from", "expected"),
    [
        ("uploader", "uploader", "sha256"),
        ("s3", "uploader", "md5"),
        ("s3", "etag", None),
        ("read", None, None),
    ],
)
def test_only_digests_of_the_uploader_can_be_false(
    sha256_from: str, md5_from: str | None, expected: str | None
) -> None:
    stated = {"sha256": "a", "md5": "b"}
    sources = {"sha256": sha256_from, "md5": md5_from}
    assert false_digest(stated, sources, {"sha256": "x", "md5": "y"}) == expected
    assert false_digest(stated, sources, {"sha256": "a", "md5": "b"}) is None


@pytest.mark.parametrize("field", ["done", "deferred"])
def test_a_hash_that_is_cut_off_is_refused(field: str) -> None:
    body = zstd.compress_private(pack_plain({"format": 1, field: b"1234567"}))
    with pytest.raises(Corrupt, match="truncated"):
        decode_digest_progress(body, what="digests")
