"""The simulations can fail: each of these bugs, planted on purpose, is found by one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import sluice.merge.merge
from sluice.catalog.head import Head, head_object, read_head
from sluice.errors import Corrupt
from sluice.extract import staging
from sluice.layout import Subdir
from sluice.merge.merge import _SubdirMerge
from sluice.publish import fence
from sluice.publish.publisher import Publisher
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectStore, noop
from sluice.storage.versioned_object import LOST, ObjectVersion
from sluice.takeover.existing_index import ExistingIndex
from testkit.memory_store import MemoryStore
from testkit.scheduler import Loses
from tests.simulation import test_interleaved_merges as interleaved
from tests.simulation.faults import disturb_everywhere
from tests.simulation.interleaving import Story, contended, explore
from tests.simulation.planted_head import Swapped, head_object_with
from tests.simulation.stories import (
    FIRST_OVER_FOREIGN,
    REMOVED_AND_BACK,
    REMOVED_BEFORE_INDEXED,
    SWITCHED_ON_AGAIN,
    batch_of_everything,
    first_commit,
)


def interleavings(story: Story) -> None:
    for _ in explore(story, counts=contended):
        pass


def disturbances() -> None:
    for begin in (batch_of_everything, first_commit):
        for _ in disturb_everywhere(begin):
            pass


def found(simulation: Callable[[], object], *, says: str | None = None) -> None:
    """Whether the simulation finds what was planted."""
    with pytest.raises((AssertionError, Corrupt), match=says):
        simulation()


def test_staging_that_is_deleted_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = staging.read_staging_batch

    def read_and_delete(state: ObjectStore, *args: Any, **options: Any) -> staging.StagingBatch:
        batch = plain(state, *args, **options)
        state.delete(batch.consumed)
        return batch

    monkeypatch.setattr(staging, "read_staging_batch", read_and_delete)
    found(disturbances, says="lost|is missing|is out of date|has ghosts")


def test_a_merge_without_effect_that_does_not_advance_the_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def swap_only_changes(
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        before = read_head(state, subdir)
        if before.value.generation == head.generation:
            return before
        return head_object(state, subdir).swap(head, expected=expected, not_after_ms=not_after_ms)

    monkeypatch.setattr(sluice.merge.merge, "head_object", head_object_with(swap_only_changes))
    found(lambda: interleavings(REMOVED_BEFORE_INDEXED), says="has ghosts: .*two")
    found(interleaved.test_a_merge_that_changes_nothing_fences_an_older_one_that_still_would)


def test_writes_that_ignore_their_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    def put_anyway(
        store: MemoryStore,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        before: Callable[[], None] = noop,
        not_after_ms: int | None = None,
    ) -> ETag | None:
        del expected, not_after_ms
        before()
        store.put(key, body, headers)
        return store.objects[key].info.etag

    monkeypatch.setattr(MemoryStore, "put_if", put_anyway)
    found(lambda: interleavings(REMOVED_BEFORE_INDEXED), says="went back|older")


def test_a_fence_that_takes_whatever_is_there_for_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence.Stamp, "parse", lambda _metadata: None)
    monkeypatch.setattr(Publisher, "is_newest", lambda *_of: True)
    found(lambda: interleavings(REMOVED_AND_BACK), says="older .* over a newer")


def test_a_fence_that_does_not_see_a_newer_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fence.file_state

    def standing(info: Any, mine: fence.Stamp, **options: Any) -> fence.FileState:
        now = plain(info, mine, **options)
        return fence.FileState.OLDER if now is fence.FileState.NEWER else now

    monkeypatch.setattr(fence, "file_state", standing)
    found(lambda: interleavings(REMOVED_AND_BACK), says="older .* over a newer")


def test_heads_that_do_not_tell_who_wrote_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def anonymous(
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        return head_object(state, subdir).swap(
            msgspec.structs.replace(head, writer=""),
            expected=expected,
            not_after_ms=not_after_ms,
        )

    monkeypatch.setattr(sluice.merge.merge, "head_object", head_object_with(anonymous))
    found(
        interleaved.test_of_two_merges_that_change_nothing_only_one_takes_the_swap_for_its_own,
    )


def test_a_swap_that_takes_every_missing_answer_for_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    def swap_once(
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        body = msgspec.json.encode(head)
        etag = state.put_if(
            subdir.head_key,
            body,
            ObjectHeaders("application/json"),
            expected=expected,
            not_after_ms=not_after_ms,
        )
        return ObjectVersion(head, etag) if etag else LOST

    monkeypatch.setattr(sluice.merge.merge, "head_object", head_object_with(swap_once))
    found(
        lambda: interleaved.test_a_swap_of_the_head_without_an_answer_is_made_exactly_once(
            Loses.ANSWER
        ),
    )


def test_a_first_commit_that_does_not_look_at_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sluice.merge.merge, "read_existing_index", lambda *_: ExistingIndex())
    found(lambda: interleavings(FIRST_OVER_FOREIGN), says="lost what nobody touched")


def test_a_merge_that_does_not_see_that_it_deleted_files_of_a_newer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_SubdirMerge, "_follow_newer", lambda *_, **__: None)
    found(lambda: interleavings(SWITCHED_ON_AGAIN), says="run_exports.* is missing")


def test_a_swap_that_takes_every_missing_answer_for_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def swap_boldly(
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        swapped = head_object(state, subdir).swap(
            head, expected=expected, not_after_ms=not_after_ms
        )
        return ObjectVersion(head, None) if swapped is LOST else swapped

    monkeypatch.setattr(sluice.merge.merge, "head_object", head_object_with(swap_boldly))
    found(lambda: interleavings(REMOVED_AND_BACK), says="lost|has ghosts|ahead of the head")


def test_a_shard_index_that_comes_before_its_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = MemoryStore.put

    def put_no_shards(store: MemoryStore, key: str, body: bytes, headers: ObjectHeaders) -> None:
        if "/shards/" not in key:
            plain(store, key, body, headers)

    monkeypatch.setattr(MemoryStore, "put", put_no_shards)
    found(disturbances, says="refers to what is not there")
