"""Bugs, each to be planted on its own: what a simulation that finds none of them would be worth.

Each is a way in which somebody might well have written the core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import unquote_plus

import msgspec

import sluice.admin.changes.commit_edit
import sluice.merge.merge
import sluice.merge.plan
from sluice import layout
from sluice.admin.changes import retire
from sluice.admin.changes.rebind_subdir import SubdirRebinder
from sluice.admin.history.generations import OldGeneration
from sluice.admin.session.channel import Channel
from sluice.catalog import brake, entry, leaf_reader, node
from sluice.catalog import reader as catalog_reader
from sluice.catalog.brake import BrakeState, MissingFile, RemovalDecision
from sluice.catalog.client_view import RenderRules
from sluice.catalog.entry import Entries, Entry
from sluice.catalog.head import Head, head_object, read_head
from sluice.catalog.tree import Tree
from sluice.errors import Unavailable
from sluice.extract import handler as extract_handler
from sluice.extract import lanes, staging
from sluice.extract.config_broadcast import ConfigBroadcast
from sluice.extract.staging import Indexed, Rejected, StagingRecord
from sluice.layout import SHARD_INDEX, Subdir
from sluice.merge import apply_staging, edges, generation_writer, isolation, object_lookup
from sluice.merge import handler as merge_handler
from sluice.merge.context import MergeContext
from sluice.merge.leaf_writer import LeafWriter
from sluice.merge.publishing import Scope
from sluice.merge.take_over_steps import TakeOverStep
from sluice.messages import s3_event
from sluice.messages.delivery import Delivery
from sluice.messages.merge_request import MergeRequest
from sluice.messages.s3_event import ObjectEvent
from sluice.publish import fence, index_files, publication
from sluice.publish.bucket_check import BucketCheck
from sluice.publish.index_files import IndexFiles
from sluice.reconcile import (
    compare,
    digest_check,
    garbage,
    index_file_check,
    removals,
    subdir,
)
from sluice.reconcile.compare import DiffKind
from sluice.reconcile.digest_check import DigestCheck
from sluice.reconcile.discover import Discovery
from sluice.reconcile.head_cache import HeadCache
from sluice.reconcile.input_drift import InputDriftCheck
from sluice.reconcile.listing import Listing
from sluice.reconcile.publication_log import StoredMarks
from sluice.reconcile.reconcile_cache import ReconcileCache
from sluice.storage import missing_objects
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectStore
from sluice.takeover import existing_index
from tests.simulation.planted_head import Swapped, head_object_with
from tests.simulation.system.bucket import Bucket


def _a_failed_request_sets_a_package_aside() -> AbstractContextManager[object]:
    errors = (*isolation._UNEXPLAINED, Unavailable)
    return mock.patch.object(isolation, "_UNEXPLAINED", errors)


def _a_reject_leaves_no_trace() -> AbstractContextManager[object]:
    plain = apply_staging.limit_new_rejects

    def limit(before: Entries, after: Entries, *, room: int) -> tuple[Mapping[str, Entry], int]:
        del room
        return plain(before, after, room=0)

    return mock.patch.object(apply_staging, "limit_new_rejects", limit)


def _staging_is_deleted_before_the_commit() -> AbstractContextManager[object]:
    plain = staging.read_staging_batch

    def read_and_delete(state: ObjectStore, *args: Any, **options: Any) -> staging.StagingBatch:
        batch = plain(state, *args, **options)
        if batch.consumed:
            state.delete(batch.consumed)
        return batch

    return mock.patch.object(staging, "read_staging_batch", read_and_delete)


@contextmanager
def _shards_are_written_after_the_index() -> Iterator[None]:
    plain, plain_if = Bucket.put, Bucket.put_if
    held: dict[str, list[tuple[str, bytes, ObjectHeaders]]] = {}

    def put(bucket: Bucket, key: str, body: bytes, headers: ObjectHeaders) -> None:
        folder, is_shard, _ = key.partition("shards/")
        if is_shard:
            held.setdefault(folder, []).append((key, body, headers))
        else:
            plain(bucket, key, body, headers)

    def put_if(
        bucket: Bucket,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        **options: Any,
    ) -> ETag | None:
        etag = plain_if(bucket, key, body, headers, expected=expected, **options)
        if key.endswith(SHARD_INDEX):
            for shard in held.pop(key.removesuffix(SHARD_INDEX), []):
                plain(bucket, *shard)
        return etag

    with mock.patch.multiple(Bucket, put=put, put_if=put_if):
        yield


def _the_head_is_written_without_a_condition() -> AbstractContextManager[object]:
    plain = Bucket.put_if

    def put_if(
        bucket: Bucket,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        *,
        expected: ETag | None,
        **options: Any,
    ) -> ETag | None:
        if not key.startswith("heads/"):
            return plain(bucket, key, body, headers, expected=expected, **options)
        bucket.put(key, body, headers)
        return bucket.objects[key].info.etag

    return mock.patch.object(Bucket, "put_if", put_if)


def _a_head_is_swapped_behind_its_deadline() -> AbstractContextManager[object]:
    plain = Bucket.put_if

    def put_if(bucket: Bucket, *written: Any, **options: Any) -> ETag | None:
        return plain(bucket, *written, **options | {"not_after_ms": None})

    return mock.patch.object(Bucket, "put_if", put_if)


def _a_merge_without_effect_leaves_the_epoch() -> AbstractContextManager[object]:
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

    return mock.patch.object(sluice.merge.merge, "head_object", head_object_with(swap_only_changes))


@contextmanager
def _files_are_published_without_the_fence() -> Iterator[None]:
    def standing(found: Any, _mine: fence.Stamp, **_options: Any) -> fence.FileState:
        return fence.FileState.OLDER if found else fence.FileState.MISSING

    def replace(
        store: ObjectStore, page: fence.PublishedFile, mine: fence.Stamp, **_options: Any
    ) -> fence.ReplaceResult:
        store.put(page.key, page.body, dataclasses.replace(page.headers, metadata=mine.metadata))
        return fence.ReplaceResult(fence.FileState.SAME, 0)

    with mock.patch.multiple(index_files, file_state=standing, replace_file=replace):
        yield


def _garbage_is_collected_without_regard_to_retention() -> AbstractContextManager[object]:
    return mock.patch.object(garbage, "DAY_SECONDS", 0)


def _names_recur() -> AbstractContextManager[object]:
    plain = node.render_node

    def undated(
        name: str, entries: entry.Entries, *, at: int, rules: RenderRules
    ) -> node.RenderedNode:
        del at
        return plain(name, entries, at=0, rules=rules)

    return mock.patch.object(node, "render_node", undated)


def _the_event_is_believed() -> AbstractContextManager[object]:
    def settle(
        records: Sequence[StagingRecord], _observed: Mapping[str, Any]
    ) -> apply_staging.Verdicts:
        return {
            record.filename: record if isinstance(record, Indexed | Rejected) else None
            for record in sorted(records, key=lambda record: record.at)
        }

    return mock.patch.object(apply_staging, "resolve_verdicts", settle)


def _reconcile_overlooks_what_was_overwritten() -> AbstractContextManager[object]:
    plain = compare.compare_files

    def differences(*args: Any) -> list[compare.FileDifference]:
        return [found for found in plain(*args) if found.kind is not DiffKind.CHANGED]

    return mock.patch.object(subdir, "compare_files", differences)


def _reconcile_overlooks_what_others_published() -> AbstractContextManager[object]:
    plain = fence.file_state

    def standing(found: Any, mine: fence.Stamp, **options: Any) -> fence.FileState:
        now = plain(found, mine, **options)
        return fence.FileState.SAME if now is fence.FileState.FOREIGN else now

    return mock.patch.object(index_file_check, "file_state", standing)


def _reconcile_believes_what_it_remembers_of_another_version() -> AbstractContextManager[object]:
    plain = HeadCache.__init__

    def looks(
        self: HeadCache, world: Any, subdir: Any, listing: Any, memory: ReconcileCache
    ) -> None:
        plain(self, world, subdir, listing, memory)
        self._cached_heads = dict(memory.files)

    return mock.patch.object(HeadCache, "__init__", looks)


def _a_new_patch_is_told_to_nobody() -> AbstractContextManager[object]:
    return mock.patch.object(
        ConfigBroadcast, "notify_all", _only_of_configurations(ConfigBroadcast.notify_all)
    )


def _only_of_configurations(plain: Callable[..., Any]) -> Callable[..., Any]:
    def notify_all(
        announcer: ConfigBroadcast, channel: str, *, exclude: Subdir | None = None
    ) -> list[Subdir]:
        told: list[Subdir] = [] if exclude else plain(announcer, channel)
        return told

    return notify_all


def _names_are_not_rendered_again() -> AbstractContextManager[object]:
    def nothing(*_args: Any) -> set[str]:
        return set()

    return mock.patch.object(sluice.merge.plan, "names_changed_by_inputs", nothing)


def _files_are_left_that_nobody_asks_for() -> AbstractContextManager[object]:
    def tidy(_files: IndexFiles, _names: list[str]) -> None:
        pass

    return mock.patch.object(IndexFiles, "delete_unwanted", tidy)


def _patches_are_collected_as_soon_as_they_are_old() -> AbstractContextManager[object]:
    def none(_tree: Any) -> None:
        pass

    return mock.patch.object(garbage, "_patch", none)


def _reconcile_overlooks_configurations_and_patches() -> AbstractContextManager[object]:
    def nothing(_check: InputDriftCheck) -> list[str]:
        return []

    return mock.patch.object(InputDriftCheck, "outdated_inputs", nothing)


def _a_pin_gives_way_to_any_verdict() -> AbstractContextManager[object]:
    plain = apply_staging._judge

    def judge(old: entry.Entry | None, verdict: apply_staging.Verdict, *, at: int) -> entry.Entry:
        return plain(None if isinstance(old, entry.Pin) else old, verdict, at=at)

    return mock.patch.object(apply_staging, "_judge", judge)


def _an_operator_goes_by_the_head_of_before() -> AbstractContextManager[object]:
    def swap(
        state: ObjectStore,
        subdir: Subdir,
        head: Head,
        *,
        expected: ETag | None,
        not_after_ms: int | None,
    ) -> Swapped:
        del expected
        before = read_head(state, subdir)
        generation = max(head.generation, before.value.generation + 1)
        newer = msgspec.structs.replace(head, generation=generation)
        return head_object(state, subdir).swap(
            newer, expected=before.etag, not_after_ms=not_after_ms
        )

    return mock.patch.object(
        sluice.admin.changes.commit_edit, "head_object", head_object_with(swap)
    )


def _a_bucket_is_bound_without_evidence() -> AbstractContextManager[object]:
    def believe(_check: BucketCheck, _channel: str, _published: Any) -> None:
        pass

    return mock.patch.object(BucketCheck, "_require_evidence", believe)


@contextmanager
def _a_bucket_is_checked_once_per_process() -> Iterator[None]:
    plain = BucketCheck.ensure_bound
    checked: set[tuple[ObjectStore, str]] = set()  # a bucket's object stands for the environment

    def verify(check: BucketCheck, channel: str) -> bool:
        if (check.runtime.channel, channel) in checked:
            return True
        is_bound = plain(check, channel)
        if is_bound:
            checked.add((check.runtime.channel, channel))
        return is_bound

    with mock.patch.object(BucketCheck, "ensure_bound", verify):
        yield


def _a_restored_copy_lets_in_what_was_pinned_out() -> AbstractContextManager[object]:
    def leave(*_args: Any) -> None:
        pass

    return mock.patch.object(SubdirRebinder, "_compare_pin", leave)


def _the_brake_decides_per_chunk() -> AbstractContextManager[object]:
    plain = brake.decide_removals

    def decide(
        state: BrakeState, gone: Mapping[str, MissingFile], shown: int, **options: Any
    ) -> RemovalDecision:
        parts = [plain(state, {file: gone[file]}, shown, **options) for file in gone]
        removed = {file: at for part in parts for file, at in part.state.removed.items()}
        carry_out = [file for part in parts for file in part.to_remove]
        return RemovalDecision(BrakeState(removed=removed), carry_out, None, confirmed=False)

    return mock.patch.object(brake, "decide_removals", decide)


@contextmanager
def _a_listing_is_believed() -> Iterator[None]:
    def confirm_listing(listing: Any, *_args: Any, **_options: Any) -> Any:
        return listing

    with (
        mock.patch.object(removals, "confirm_listing", confirm_listing),
        mock.patch.object(existing_index, "confirm_listing", confirm_listing),
    ):
        yield


def _days_go_on_though_nothing_was_missing() -> AbstractContextManager[object]:
    def end_waiting(_state: Any, _subdir: Any, stored: StoredMarks) -> StoredMarks:
        return stored

    return mock.patch.object(removals, "end_waiting", end_waiting)


def _days_go_on_for_another_object() -> AbstractContextManager[object]:
    def still(times: Mapping[str, int], gone: Mapping[str, MissingFile]) -> dict[str, int]:
        return {file: at for file, at in times.items() if file in gone}

    return mock.patch.object(brake, "_still_missing", still)


def _a_take_over_goes_on_with_what_an_index_said_before() -> AbstractContextManager[object]:
    def digest(_step: TakeOverStep, name: str) -> bytes:
        return name.encode()

    return mock.patch.object(TakeOverStep, "_digest", digest)


def _the_window_check_is_left_out() -> AbstractContextManager[object]:
    def is_due(*_args: Any) -> bool:
        return True

    return mock.patch.object(merge_handler, "_is_due", is_due)


def _an_early_merge_is_not_handed_back() -> AbstractContextManager[object]:
    plain = merge_handler.Handled

    def handled(report: merge_handler.Report | None, *, is_early: bool = False) -> Any:
        return plain(report, is_early=is_early and report is None)

    return mock.patch.object(merge_handler, "Handled", handled)


def _an_early_merge_consumes_staging() -> AbstractContextManager[object]:
    plain = edges.leading_edge

    def leading_edge(*args: Any) -> Scope | None:
        scope = plain(*args)
        return Scope.NOTHING if scope is Scope.SHARDS else scope

    return mock.patch.object(merge_handler, "leading_edge", leading_edge)


def _a_young_head_counts_as_published() -> AbstractContextManager[object]:
    plain = merge_handler._is_fulfilled

    def is_fulfilled(request: Any, delivery: Delivery, ctx: MergeContext) -> bool:
        if isinstance(request, MergeRequest) and request.not_before == 0:  # a person's
            modified = head_object(ctx.state, request.subdir).read().modified
            return modified is not None and ctx.clock() < (modified + ctx.debounce_seconds) * 1000
        return plain(request, delivery, ctx)

    return mock.patch.object(merge_handler, "_is_fulfilled", is_fulfilled)


def _an_empty_log_fulfils_requests_about_files() -> AbstractContextManager[object]:
    def is_fulfilled(request: Any, _delivery: Delivery, ctx: MergeContext) -> bool:
        return isinstance(request, MergeRequest) and not list(
            ctx.state.list(request.subdir.staging_prefix)
        )

    return mock.patch.object(merge_handler, "_is_fulfilled", is_fulfilled)


def _extract_passes_removals_over() -> AbstractContextManager[object]:
    plain = extract_handler.route_event

    def route(event: ObjectEvent, **options: Any) -> Any:
        return None if event.size is None else plain(event, **options)  # no size: a removal

    return mock.patch.object(extract_handler, "route_event", route)


def _neither_lane_reads_what_is_slow() -> AbstractContextManager[object]:
    def send(*_args: Any) -> None:
        pass

    return mock.patch.object(extract_handler, "send_to_slow_lane", send)


def _the_slow_lane_is_as_impatient_as_the_first() -> AbstractContextManager[object]:
    plain = extract_handler._handle

    def handle(event: ObjectEvent, ctx: Any, lane: lanes.Lane, *, receive_count: int) -> Any:
        impatient = dataclasses.replace(lane, extract=lanes.first_lane(lane.queue).extract)
        if lane.queue is ctx.slow_uploads:
            ctx = dataclasses.replace(ctx, slow_uploads=mock.Mock())  # and then gives up
        return plain(event, ctx, impatient, receive_count=receive_count)

    return mock.patch.object(extract_handler, "_handle", handle)


def _a_plus_in_a_key_is_taken_for_a_space() -> AbstractContextManager[object]:
    return mock.patch.object(s3_event, "decode_key", unquote_plus)


@contextmanager
def _keys_with_spaces_are_indexed() -> Iterator[None]:
    def is_key_text(_text: str) -> bool:
        return True

    with (
        mock.patch.object(layout, "is_key_text", is_key_text),
        mock.patch.object(object_lookup, "is_key_text", is_key_text),
        mock.patch.object(missing_objects, "is_key_text", is_key_text),
    ):
        yield


def _a_removal_from_nowhere_leaves_a_head() -> AbstractContextManager[object]:
    def never(_batch: Any) -> bool:
        return False

    return mock.patch.object(sluice.merge.merge, "_has_only_removals", never)


def _misplaced_files_are_ignored_in_silence() -> AbstractContextManager[object]:
    def count(_discovery: Discovery, _key: str) -> None:
        pass

    return mock.patch.object(Discovery, "_count_misplaced", count)


def _reconcile_overlooks_what_was_archived() -> AbstractContextManager[object]:
    return _without(DiffKind.ARCHIVED)


def _reconcile_overlooks_what_was_restored() -> AbstractContextManager[object]:
    return _without(DiffKind.RESTORED)


def _without(kind: DiffKind) -> AbstractContextManager[object]:
    plain = compare.compare_files

    def differences(*args: Any) -> list[compare.FileDifference]:
        return [difference for difference in plain(*args) if difference.kind is not kind]

    return mock.patch.object(subdir, "compare_files", differences)


def _an_archived_object_keeps_its_record() -> AbstractContextManager[object]:
    def never(*_args: Any) -> bool:
        return False

    return mock.patch.object(apply_staging, "_was_archived", never)


def _rejects_kept() -> int:
    """Of one subdir, at most, in this world."""
    kept: int = vars(generation_writer)["REJECTS_PER_SUBDIR_MAX"]
    return kept


def _each_name_has_room_for_all_rejects() -> AbstractContextManager[object]:
    plain = apply_staging.limit_new_rejects

    def limit(before: Entries, after: Entries, *, room: int) -> tuple[Mapping[str, Entry], int]:
        del room
        return plain(before, after, room=_rejects_kept())

    return mock.patch.object(apply_staging, "limit_new_rejects", limit)


def _a_full_subdir_takes_in_nothing_new() -> AbstractContextManager[object]:
    plain = apply_staging.limit_new_rejects

    def limit(before: Entries, after: Entries, *, room: int) -> tuple[Mapping[str, Entry], int]:
        if room <= 0:
            after = {filename: entry for filename, entry in after.items() if filename in before}
        return plain(before, after, room=room)

    return mock.patch.object(apply_staging, "limit_new_rejects", limit)


def _what_leaves_the_index_of_a_full_subdir_leaves_no_trace() -> AbstractContextManager[object]:
    plain = apply_staging.limit_new_rejects

    def limit(before: Entries, after: Entries, *, room: int) -> tuple[Mapping[str, Entry], int]:
        rejects = {file: one for file, one in before.items() if isinstance(one, entry.Reject)}
        return plain(rejects, after, room=room)

    return mock.patch.object(apply_staging, "limit_new_rejects", limit)


def _every_reject_keeps_its_sentence() -> AbstractContextManager[object]:
    def keep(*_args: Any) -> None:
        pass

    return mock.patch.object(apply_staging, "_drop_excess_sentences", keep)


def _reconcile_passes_over_a_full_subdir() -> AbstractContextManager[object]:
    plain = compare.suspect_names

    def suspect(listing: Listing, tree: Tree, criteria: compare.ReExtractCriteria) -> list[str]:
        if tree.rejects >= _rejects_kept():
            return []
        return plain(listing, tree, criteria)

    return mock.patch.object(subdir, "suspect_names", suspect)


def _the_check_believes_the_metadata() -> AbstractContextManager[object]:
    def stated(_check: DigestCheck, claim: Any) -> Mapping[str, str]:
        return {kind: claim.record.record[kind] for kind in ("sha256", "md5")}

    return mock.patch.object(DigestCheck, "_hash", stated)


def _the_next_extractor_lets_in_what_lies() -> AbstractContextManager[object]:
    return mock.patch.object(digest_check, "NEVER_OUTDATED", 2)


@contextmanager
def _a_subdir_with_packages_is_taken_for_one_that_was_moved_away() -> Iterator[None]:
    def moved_away(tree: Tree, files: Iterable[object]) -> bool:
        return tree.public and not any(files)

    with (
        mock.patch.object(publication, "is_moved_away", moved_away),
        mock.patch.object(index_file_check, "is_moved_away", moved_away),
    ):
        yield


def _the_collector_looks_for_leaves_alone() -> AbstractContextManager[object]:
    def none(_nodes: Any) -> set[bytes]:
        return set()

    return mock.patch.object(garbage, "live_packs", none)


@contextmanager
def _a_part_of_a_pack_is_believed() -> Iterator[None]:
    def is_intact(*_args: Any) -> bool:
        return True

    with (
        mock.patch.object(leaf_reader, "is_intact", is_intact),
        mock.patch.object(catalog_reader, "is_intact", is_intact),
    ):
        yield


def _a_retirement_looks_for_packages_before_its_mark_alone() -> AbstractContextManager[object]:
    plain = retire._require_no_packages_in

    def at_first(channel: Channel) -> None:
        for known in retire._subdirs(channel):
            plain(channel, known)

    def later(_channel: Channel, _subdir: Subdir) -> None:
        pass

    return mock.patch.multiple(retire, _require_no_packages=at_first, _require_no_packages_in=later)


def _a_retirement_leaves_its_mark() -> AbstractContextManager[object]:
    def leave(*_args: Any, **_options: Any) -> None:
        pass

    return mock.patch.object(retire, "_unmark", leave)


def _a_snapshot_has_no_leaves_of_packs() -> AbstractContextManager[object]:
    plain = OldGeneration.entries

    def entries(generation: OldGeneration, names: Iterable[str]) -> dict[str, Entries]:
        nodes = generation.tree().names
        return plain(generation, [name for name in names if nodes[name].place is None])

    return mock.patch.object(OldGeneration, "entries", entries)


def _a_draft_forgets_the_pack_that_is_not_full() -> AbstractContextManager[object]:
    plain = LeafWriter.finish

    def finish(writer: LeafWriter) -> None:
        if not writer._may_pack:
            plain(writer)

    return mock.patch.object(LeafWriter, "finish", finish)


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, and by what it shows."""

    plant: Callable[[], AbstractContextManager[object]]
    """Enter what this returns, and the bug is there."""
    shows: str
    """Pattern of what is found wrong."""


_COLLECTED_TOO_EARLY = "days after an index that names it"
_REMOVED = "because a comparison did not find them"
_NOWHERE = "is the head of a subdir that nobody knows"
_WRONG_AT_REST = "lost|has ghosts|is wrong about|is missing|rejects of"
BUGS = {
    "staging is deleted before the commit": Bug(
        _staging_is_deleted_before_the_commit, _WRONG_AT_REST
    ),
    "shards are written after the index that names them": Bug(
        _shards_are_written_after_the_index, "refers to what is not there"
    ),
    "the head is written without a condition": Bug(
        _the_head_is_written_without_a_condition, "the head of .* went from"
    ),
    "a head is swapped behind its deadline": Bug(
        _a_head_is_swapped_behind_its_deadline, "the head of .* refers to"
    ),
    "a merge without effect leaves the epoch as it is": Bug(
        _a_merge_without_effect_leaves_the_epoch, "ghost|rejects of"
    ),
    "files are published without the fence": Bug(
        _files_are_published_without_the_fence, "replaced by an older one|ahead of the head"
    ),
    "garbage is collected without regard to retention": Bug(
        _garbage_is_collected_without_regard_to_retention, _COLLECTED_TOO_EARLY
    ),
    "names recur": Bug(_names_recur, "was collected|differs from"),
    "the event is believed and not the object": Bug(
        _the_event_is_believed, f"nobody touched|redated|is pinned out|{_WRONG_AT_REST}"
    ),
    "reconcile overlooks what was overwritten": Bug(
        _reconcile_overlooks_what_was_overwritten, _WRONG_AT_REST
    ),
    "a new patch is told to nobody": Bug(
        _a_new_patch_is_told_to_nobody, f"{_WRONG_AT_REST}|instead of"
    ),
    "names are not rendered again for a patch": Bug(
        _names_are_not_rendered_again, f"{_WRONG_AT_REST}|differs from"
    ),
    "files are left that no configuration asks for": Bug(
        _files_are_left_that_nobody_asks_for, "instead of|a further reconcile"
    ),
    "patches are collected as soon as they are old": Bug(
        _patches_are_collected_as_soon_as_they_are_old, "was collected"
    ),
    "reconcile overlooks configurations and patches": Bug(
        _reconcile_overlooks_configurations_and_patches, f"{_WRONG_AT_REST}|instead of"
    ),
    "reconcile overlooks what another tool published": Bug(
        _reconcile_overlooks_what_others_published,
        f"is not of the head's generation|{_COLLECTED_TOO_EARLY}",
    ),
    "a pin gives way to any verdict": Bug(
        _a_pin_gives_way_to_any_verdict, "is pinned out|is not pinned out any more"
    ),
    "an operator goes by the head of before": Bug(
        _an_operator_goes_by_the_head_of_before,
        f"is not of the head's generation|{_WRONG_AT_REST}|nobody touched|differs from",
    ),
    "a bucket is bound without evidence": Bug(
        _a_bucket_is_bound_without_evidence,
        "into a bucket that is not the channel's|pinned out|nobody touched",
    ),
    "a bucket is checked once per process": Bug(
        _a_bucket_is_checked_once_per_process,
        f"names what is not there|nobody touched|{_WRONG_AT_REST}|differs from",
    ),
    "a restored copy lets in what was pinned out": Bug(
        _a_restored_copy_lets_in_what_was_pinned_out,
        "is not pinned out any more|is pinned out",
    ),
    "the brake decides per chunk": Bug(_the_brake_decides_per_chunk, _REMOVED),
    "a listing is believed without a look at the objects": Bug(
        _a_listing_is_believed,
        f"a removal is staged of .*, which is there|nobody touched|{_REMOVED}",
    ),
    "days go on though nothing was missing meanwhile": Bug(
        _days_go_on_though_nothing_was_missing, _REMOVED
    ),
    "days go on for another object of the same name": Bug(_days_go_on_for_another_object, _REMOVED),
    "reconcile believes what it remembers of another version": Bug(
        _reconcile_believes_what_it_remembers_of_another_version,
        f"is not of the head's generation|is not there|{_WRONG_AT_REST}|{_COLLECTED_TOO_EARLY}",
    ),
    "a take-over goes on with what an index said before": Bug(
        _a_take_over_goes_on_with_what_an_index_said_before,
        f"nobody touched|redated|{_WRONG_AT_REST}",
    ),
    "the window check is left out": Bug(
        _the_window_check_is_left_out,
        f"is not of the head's generation|staging is left over|{_WRONG_AT_REST}",
    ),
    "an early merge is not handed back": Bug(
        _an_early_merge_is_not_handed_back,
        f"is not of the head's generation|staging is left over|{_WRONG_AT_REST}",
    ),
    "an early merge consumes staging": Bug(
        _an_early_merge_consumes_staging,
        f"is not of the head's generation|staging is left over|{_WRONG_AT_REST}",
    ),
    "a young head counts as published": Bug(
        _a_young_head_counts_as_published,
        f"is not of the head's generation|staging is left over|{_WRONG_AT_REST}",
    ),
    "an empty log fulfils requests about files": Bug(
        _an_empty_log_fulfils_requests_about_files,
        f"is not of the head's generation|staging is left over|{_WRONG_AT_REST}",
    ),
    "neither lane reads what is slow": Bug(_neither_lane_reads_what_is_slow, _WRONG_AT_REST),
    "the slow lane is as impatient as the first": Bug(
        _the_slow_lane_is_as_impatient_as_the_first, _WRONG_AT_REST
    ),
    "a failed request sets a package aside": Bug(
        _a_failed_request_sets_a_package_aside, "a staging record was unreadable"
    ),
    "a reject that leaves no trace": Bug(_a_reject_leaves_no_trace, "rejects of"),
    "each package name has room for all rejects of a subdir": Bug(
        _each_name_has_room_for_all_rejects, "keeps .* rejects, of which"
    ),
    "a subdir full of rejects takes in nothing new": Bug(
        _a_full_subdir_takes_in_nothing_new, _WRONG_AT_REST
    ),
    "what leaves the index of a subdir full of rejects leaves no trace": Bug(
        _what_leaves_the_index_of_a_full_subdir_leaves_no_trace, "forgets .*, which are there"
    ),
    "every reject keeps its sentence": Bug(_every_reject_keeps_its_sentence, "has sentences of"),
    "reconcile passes over a subdir full of rejects": Bug(
        _reconcile_passes_over_a_full_subdir, _WRONG_AT_REST
    ),
    "the check of digests believes the metadata": Bug(
        _the_check_believes_the_metadata, _WRONG_AT_REST
    ),
    "the next extractor lets in what lies about its digest": Bug(
        _the_next_extractor_lets_in_what_lies, _WRONG_AT_REST
    ),
    "extract passes removals over": Bug(_extract_passes_removals_over, "has ghosts|rejects of"),
    "a plus in a key is taken for a space": Bug(
        _a_plus_in_a_key_is_taken_for_a_space, _WRONG_AT_REST
    ),
    "keys with spaces are indexed": Bug(
        _keys_with_spaces_are_indexed, f"{_NOWHERE}|{_WRONG_AT_REST}"
    ),
    "a removal from nowhere leaves a head": Bug(_a_removal_from_nowhere_leaves_a_head, _NOWHERE),
    "misplaced files are ignored in silence": Bug(
        _misplaced_files_are_ignored_in_silence, "misplaced files are recorded"
    ),
    "reconcile overlooks what was archived": Bug(
        _reconcile_overlooks_what_was_archived, _WRONG_AT_REST
    ),
    "reconcile overlooks what was restored": Bug(
        _reconcile_overlooks_what_was_restored, _WRONG_AT_REST
    ),
    "an archived object keeps its record": Bug(
        _an_archived_object_keeps_its_record, _WRONG_AT_REST
    ),
    "a subdir with packages is taken for one that was moved away": Bug(
        _a_subdir_with_packages_is_taken_for_one_that_was_moved_away, "is missing"
    ),
    "a retirement looks for packages before its mark alone": Bug(
        _a_retirement_looks_for_packages_before_its_mark_alone,
        f"the tombstone of .* forgets|{_WRONG_AT_REST}",
    ),
    "a retirement leaves its mark": Bug(_a_retirement_leaves_its_mark, "is still being retired"),
    "the collector ignores that nodes refer to packs": Bug(
        _the_collector_looks_for_leaves_alone, "was collected, but .* needs it"
    ),
    "a part of a pack is believed without a look at its digest": Bug(
        _a_part_of_a_pack_is_believed,
        f"nobody touched|never uploaded|differs|sluice.errors.Corrupt|{_WRONG_AT_REST}",
    ),
    "a snapshot has no leaves that are in packs": Bug(
        _a_snapshot_has_no_leaves_of_packs, "a snapshot of .* differs"
    ),
    "a draft forgets the pack that is not full": Bug(
        _a_draft_forgets_the_pack_that_is_not_full, "the head of .* refers to"
    ),
}
