"""Merge: from the staging log of one subdir to a commit, and from the commit to published files.

The FIFO group usually runs one merge of a subdir at a time, but that is not a lock.  Two at once
are correct, and so is a merge that is killed between any two requests.  The order of the steps
makes it so (docs/architecture.md):

1. read the head, *then* check that the catalog belongs to this bucket (``bucket_check``), list
staging and look at the objects;
2. write everything immutable, then swap the head against the version read in 1.  A merge that
changes nothing but consumed staging swaps it too, so that an older merge, still running with
what it saw before, cannot commit after that staging is gone;
3. publish, behind the fence;
4. only then delete the staging records that were read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Literal

import msgspec

from sluice.catalog.client_view import RenderRules
from sluice.catalog.entry import Entries
from sluice.catalog.head import BEFORE_FIRST, Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree, node_chunks
from sluice.channel_files.note import needs_channel_note
from sluice.concurrency import Pending
from sluice.conda.names import NOARCH, package_name
from sluice.conda.timestamps import EpochMs
from sluice.errors import SluiceError
from sluice.extract import staging
from sluice.extract.staging import ConfigChanged, FileVerdict, Removed
from sluice.layout import REPODATA, Subdir
from sluice.limits import MERGE_BATCH_RECORDS_MAX, NAMES_AT_ONCE
from sluice.merge import apply_staging
from sluice.merge.apply_staging import Verdicts
from sluice.merge.context import MergeContext
from sluice.merge.generation_writer import Draft, GenerationWriter
from sluice.merge.inputs import InputSelector, SelectedInputs
from sluice.merge.isolation import Isolation
from sluice.merge.object_lookup import ObjectLookup
from sluice.merge.outcome import MergeReport, Outcome
from sluice.merge.plan import CommitPlan, has_indexed_package, names_to_rerender, patch_may_change
from sluice.merge.publishing import Publishing, Scope
from sluice.merge.take_over_steps import TakeOverStep, TakeOverSteps, publish_reserve_ms
from sluice.messages.merge_request import MergeRequest
from sluice.publish.buried_files import delete_buried_files
from sluice.publish.outputs import wanted_outputs
from sluice.storage.versioned_object import LOST, ObjectVersion, Swap, commit_loop, read_newest
from sluice.takeover.existing_index import ExistingIndex, read_existing_index, with_unpatched

NOTHING_READ = staging.StagingBatch(
    records=[], consumed=[], unreadable=[], too_new=0, resume_after=None
)
"""The batch of a merge that leaves all of the log to another."""


def merge(
    ctx: MergeContext,
    request: MergeRequest,
    *,
    time_left_ms: Callable[[], int],
    scope: Scope = Scope.ALL,
    read_staging: bool = True,
) -> MergeReport:
    """Merge everything staged for a subdir into its catalog and publish the result.

    ``scope``: what to publish.  If that is not all, the other files stay older than the head until
    another merge updates them.  Without ``read_staging``, all that is staged is left to another
    merge.

    Raises ``Unavailable``, ``Corrupt``, ``TooNew``, ``ForeignOwner`` and ``WrongState``.  All
    staged records are then still staged.
    """
    run = _SubdirMerge(
        ctx,
        request,
        time_left_ms=time_left_ms,
        scope=scope,
        reads_staging=read_staging,
    )
    isolation = Isolation(
        ctx.state, request.subdir, batch_records=ctx.batch_records or MERGE_BATCH_RECORDS_MAX
    )
    after: str | None = None
    consumed: list[str] = []
    while True:
        batch = isolation.merge_batch(after, run.merge_batch)
        consumed += batch.consumed
        after = batch.resume_after
        if after is None:
            break
        # Without progress, the next merge would get no further, and request another, forever.
        if time_left_ms() < run.publish_reserve_ms and consumed:
            run.outcome.report.unfinished = True
            break
    run.outcome.report.isolated = isolation.set_aside
    if scope is Scope.SHARDS:
        run.publish_shards()
        return run.outcome.report
    if consumed or not run.is_published():
        run.hand_on()
    done = [*consumed, *run.finished_progress()]
    if done:
        ctx.state.delete(done)
    if run.outcome.report.unfinished:
        # Last: a merge that fails before this returns by itself, and must not multiply.
        ctx.follow_ups(request.subdir).request_continuation(
            create=run.is_suspended and request.create, adopt=run.is_suspended and request.adopt
        )
    return run.outcome.report


class _SubdirMerge:
    """One merge of one subdir."""

    def __init__(
        self,
        ctx: MergeContext,
        request: MergeRequest,
        *,
        time_left_ms: Callable[[], int],
        scope: Scope,
        reads_staging: bool,
    ) -> None:
        self._ctx = ctx
        self._request = request
        self._catalog = CatalogReader(ctx.state, request.subdir, ctx.executor)
        self._writer = GenerationWriter(ctx, request.subdir, self._catalog)
        self._head = head_object(ctx.state, request.subdir)
        self._version = BEFORE_FIRST
        """The newest version that this merge has committed or read."""
        self._publishing = (
            None if scope is Scope.NOTHING else Publishing(ctx, request, self._catalog, scope)
        )
        self._time_left_ms = time_left_ms
        self._reads_staging = reads_staging
        self._steps = TakeOverSteps(ctx.state, request.subdir, ctx.bucket, time_left_ms)
        self.is_suspended = False
        """Whether a later merge goes on with a take-over."""
        self.outcome = Outcome(began_ms=ctx.clock())

    def merge_batch(self, after: str | None, records_max: int) -> staging.StagingBatch:
        """Commit one batch of the log, however often another merge wins the head.

        ``after``: the key after which the batch starts.
        """
        attempt = partial(self._attempt, after, records_max)
        return commit_loop(self._head, attempt, read=self._read_head)

    @property
    def publish_reserve_ms(self) -> int:
        """Time that must be left for publishing; raises ``Unavailable``."""
        tree = self._catalog.tree(self._version.value.tree)
        return publish_reserve_ms(len(tree.names), tree.files)

    def finished_progress(self) -> list[str]:
        """The key of the progress of a take-over that is committed, if there is one."""
        is_over = self._steps.is_stored and self.outcome.adopted
        return [self._request.subdir.take_over_key] if is_over else []

    def _read_head(self) -> ObjectVersion[Head]:
        warm = self._ctx.warm_cache.pop_head(self._request.subdir)
        return warm or self._head.read()

    def _attempt(
        self, after: str | None, records_max: int, version: ObjectVersion[Head]
    ) -> staging.StagingBatch | Literal[Swap.LOST]:
        """Read a batch and commit it against ``version``."""
        ctx, subdir = self._ctx, self._request.subdir
        bound = ctx.executor.submit(partial(ctx.bucket_check.ensure_bound, subdir.channel))
        tree = self._begin_tree(version.value.tree)
        # In each attempt, objects are read after the head.
        lookup = ObjectLookup(ctx.channel, subdir, ctx.executor)
        batch = NOTHING_READ
        if self._reads_staging:
            batch = staging.read_staging_batch(
                ctx.state,
                subdir,
                executor=ctx.executor,
                after=after,
                records_max=records_max,
                on_listed=lambda filenames: self._read_ahead(tree(), lookup, filenames),
            )
        swapped = self._commit_batch(version, tree(), batch, lookup, is_bound=bound())
        if swapped is LOST:
            return LOST
        if swapped is None:
            return NOTHING_READ
        self._version = swapped
        staging.set_aside_unreadable(ctx.state, subdir, batch.unreadable)
        self.outcome.add_batch(batch, generation=swapped.value.generation)
        return batch

    def _begin_tree(self, digest: str | None) -> Pending[Tree]:
        warm = self._ctx.warm_cache.tree(self._request.subdir, digest) if digest else None
        if digest and warm:
            self._catalog.cache_tree(digest, warm)
        return self._ctx.executor.submit(partial(self._catalog.tree, digest))

    def _read_ahead(self, parent: Tree, lookup: ObjectLookup, filenames: Collection[str]) -> None:
        """Start all reads that a batch about these files needs."""
        lookup.prefetch(filenames, files=parent.files)
        self._writer.prefetch_leaves(parent, filenames)
        if self._publishing and parent.public and filenames:
            self._publishing.prefetch(parent)

    # --- committing -------------------------------------------------------------------------

    def _commit_batch(
        self,
        version: ObjectVersion[Head],
        parent: Tree,
        batch: staging.StagingBatch,
        lookup: ObjectLookup,
        *,
        is_bound: bool,
    ) -> ObjectVersion[Head] | Literal[Swap.LOST] | None:
        """Swap the head to the generation that the batch leads to.

        ``None``: a take-over takes longer, and the batch is left to a later step of it.
        """
        records = [record for record in batch.records if not isinstance(record, ConfigChanged)]
        plan = self._plan(parent, batch, records, lookup, is_bound=is_bound)
        step = self._steps.begin(parent, plan)
        draft = self._writer.draft(parent, plan, step)
        if step and not step.may_commit(draft):
            self._suspend(parent, step, draft)
            return None
        if plan.changes(parent, draft):
            head = self._write(version.value, parent, plan, draft, batch, is_bound=is_bound)
        elif not batch.records:
            return version
        elif version.etag is None and self._rest_is_removals(batch):
            return self._consume_without_head(version)
        else:
            head = version.value.next_epoch(self._ctx.new_id())
        swapped = self._swap(version, head, draft)
        if swapped is not LOST:
            rules = self._catalog.rules(parent)
            self.outcome.add_commit(
                plan,
                draft,
                parent,
                names={package_name(record.filename) for record in records},
                patch_changes=any(
                    patch_may_change(self._request.subdir, records, known)
                    for known in (rules, plan.rules)
                ),
            )
        return swapped

    def _suspend(self, parent: Tree, step: TakeOverStep, draft: Draft) -> None:
        """Leave the take-over to a later merge, which goes on from here."""
        draft.wait_written()
        step.confirm()
        self._steps.store()
        self.is_suspended = True
        self.outcome.report.unfinished = True
        self.outcome.report.names_left = draft.names_left
        if parent.public:
            self._publishing = None  # what is there knows more than the parent, and stays

    def _rest_is_removals(self, batch: staging.StagingBatch) -> bool:
        """Whether the log, from this batch to its end, is about nothing but removals."""
        while _has_only_removals(batch):
            if batch.resume_after is None:
                return True
            batch = staging.read_staging_batch(
                self._ctx.state,
                self._request.subdir,
                executor=self._ctx.executor,
                after=batch.resume_after,
                records_max=self._ctx.batch_records,
            )
        return False

    def _consume_without_head(
        self, version: ObjectVersion[Head]
    ) -> ObjectVersion[Head] | Literal[Swap.LOST]:
        """Consume removals from a subdir that nobody knows, without creating its head.

        A mistyped or wrongly decoded key must not leave one.  No older merge has to be fenced off:
        if one saw a package, its record is in the log until that merge has swapped the head, so
        either this log would hold it, or there is a head by now.
        """
        return version if self._head.read().etag is None else LOST

    def _write(
        self,
        head: Head,
        parent: Tree,
        plan: CommitPlan,
        draft: Draft,
        batch: staging.StagingBatch,
        *,
        is_bound: bool,
    ) -> Head:
        """Write the generation of a plan, and all that must exist before its head is swapped."""
        ctx, subdir = self._ctx, self._request.subdir
        if not is_bound:
            # The channel is bound to this bucket before its first tree is visible.
            ctx.bucket_check.bind(subdir.channel)
        if plan.existing_index is not None:
            # Before the swap: if this merge dies right after it, no later merge sends these.
            ctx.follow_ups(subdir).request_after_first_publish(
                plan.rules.config,
                with_names=bool(plan.existing_index.names),
                is_empty=not any(draft.nodes.values()),
            )
        # If more batches follow, this generation will not be published.
        is_last = batch.resume_after is None
        return self._writer.commit(
            parent,
            head,
            draft,
            plan,
            writer=ctx.new_id(),
            on_tree=self._publishing.prerender if self._publishing and is_last else None,
        )

    def _swap(
        self, version: ObjectVersion[Head], head: Head, draft: Draft
    ) -> ObjectVersion[Head] | Literal[Swap.LOST]:
        """Swap the head.

        If there is no head yet, an empty one is created first, and the bucket is checked once more.
        Otherwise a first commit could slip past ``sluice rebind``, which moves all existing heads,
        or past ``sluice retire``, which takes the binding away that was read or made before.
        """
        expected = version.etag
        if head.tree == version.value.tree:  # it refers to nothing that the previous head does not
            return self._head.swap(head, expected=expected)
        if expected is None:
            empty = msgspec.structs.replace(BEFORE_FIRST.value, writer=self._ctx.new_id())
            created = self._head.swap(empty, expected=None)
            if created is LOST:
                return LOST
            if not self._ctx.bucket_check.ensure_bound(self._request.subdir.channel):
                self._ctx.bucket_check.bind(self._request.subdir.channel)
            expected = created.etag
        return self._head.swap(head, expected=expected, not_after_ms=draft.not_after_ms)

    # --- deciding ---------------------------------------------------------------------------

    def _plan(
        self,
        parent: Tree,
        batch: staging.StagingBatch,
        records: Sequence[FileVerdict],
        lookup: ObjectLookup,
        *,
        is_bound: bool,
    ) -> CommitPlan:
        """Decide what the batch changes, from the current objects in the bucket."""
        subdir = self._request.subdir
        verdicts = apply_staging.resolve_verdicts(
            records, lookup.resolve(record.filename for record in records)
        )
        verdicts = apply_staging.without_restored(verdicts, lookup.restored)
        existing_index = self._find_existing_index(parent, verdicts, is_bound=is_bound)
        becomes_public = existing_index is not None
        committed_at = max(self._ctx.clock(), parent.at + 1)
        rules = self._catalog.rules(parent)
        config_changed = any(isinstance(record, ConfigChanged) for record in batch.records)
        patch_changes = patch_may_change(subdir, records, rules)
        inputs: SelectedInputs | None = None
        if becomes_public or (
            parent.public and (patch_changes or not parent.inputs or config_changed)
        ):
            inputs = self._select_inputs(parent, verdicts, committed_at=committed_at)
        rerender_names = names_to_rerender(parent, rules, inputs, becomes_public=becomes_public)
        if inputs:
            rules = inputs.rules
        if existing_index and rules.instructions:
            existing_index = with_unpatched(existing_index, self._ctx.channel, subdir)
        return CommitPlan(
            committed_at=committed_at,
            rules=rules,
            public=parent.public or becomes_public,
            verdicts=verdicts,
            existing_index=existing_index,
            inputs=inputs,
            rerender_names=rerender_names,
        )

    def _find_existing_index(
        self, parent: Tree, verdicts: Verdicts, *, is_bound: bool
    ) -> ExistingIndex | None:
        """The existing index of a subdir that becomes public now, or is adopted.

        ``None``: the subdir stays as it is.
        """
        request = self._request
        if parent.public:
            # Once per merge: the files stay another's until all batches are committed.
            if (
                self.outcome.adopted
                or not request.adopt
                or not self._ctx.publisher.has_foreign_owner(request.subdir)
            ):
                return None
            return self._read_existing_index()
        # A request to create was sent after the channel was bound.  The rest of a first commit that
        # was killed must not bind it to whatever bucket the parameters now lead to.
        certain = (request.create and is_bound) or has_indexed_package(verdicts)
        if not certain and not request.adopt:
            return None
        existing_index = self._read_existing_index()
        # Adopting creates nothing if there is nothing to adopt.
        is_there = existing_index.generation or existing_index.record_count
        return existing_index if certain or is_there else None

    def _read_existing_index(self) -> ExistingIndex:
        ctx = self._ctx
        return read_existing_index(ctx.channel, self._request.subdir, ctx.executor, ctx.brake_days)

    def _select_inputs(
        self, parent: Tree, verdicts: Verdicts, *, committed_at: EpochMs
    ) -> SelectedInputs:
        """Read the configuration and the patches."""
        chooser = InputSelector(
            self._ctx.channel,
            self._ctx.state,
            self._request.subdir,
            self._catalog,
            self._ctx.executor,
            self._ctx.defaults,
        )
        entries_after = partial(self._entries_after, parent, verdicts, committed_at)
        return chooser.select(parent, entries_after, at=committed_at)

    def _entries_after(self, parent: Tree, verdicts: Verdicts, at: EpochMs, name: str) -> Entries:
        """The entries of a package name after ``verdicts`` are committed."""
        entries = self._catalog.entries([parent.names.get(name)])[0]
        of_name = {
            file: verdict for file, verdict in verdicts.items() if package_name(file) == name
        }
        return apply_staging.apply_verdicts(entries, of_name, at=at)

    # --- handing on -------------------------------------------------------------------------

    def is_published(self) -> bool:
        """Whether a merge that began after this request was made has checked all files.

        The request may be about a file that was stale, lost, or overwritten by another tool.
        """
        digest = self._version.value.tree
        return (
            not self._request.is_create_or_adopt
            and digest is not None
            and self._ctx.warm_cache.is_published_since(
                self._request.subdir, digest, since_ms=self._request.requested_before_ms
            )
        )

    def publish_shards(self) -> None:
        """Publish the shard index of the commit, or of a later one that has superseded it."""
        read_newest(self._head, self._publish_shards, first=self._version)

    def _publish_shards(self, version: ObjectVersion[Head]) -> None:
        digest = version.value.tree
        if digest is None or self._publishing is None:
            self._delete_buried_files(version.value)
            return
        self.outcome.add_published(self._publishing.publish_shard_index(digest))
        self._ctx.warm_cache.put_tree(self._request.subdir, digest, self._catalog.tree(digest))

    def hand_on(self) -> None:
        """Notify others of the commit, and publish it.

        If a later commit has superseded it, and its objects were collected, publish the later one.
        """
        read_newest(self._head, self._hand_on, first=self._version)

    def _hand_on(self, version: ObjectVersion[Head]) -> None:
        ctx, subdir = self._ctx, self._request.subdir
        digest = version.value.tree
        if self.outcome.patch_changes:
            ctx.config_broadcast.notify_all(subdir.channel, exclude=subdir)
        tree = self._catalog.tree(digest)
        self._write_channel_note(version.value, tree, self._catalog.rules(tree))
        if digest is None:
            self._delete_buried_files(version.value)
            return
        if self._publishing:
            is_first = self.outcome.adopted
            over_nothing = is_first or (tree.has_records and self._publishing.is_missing(digest))
            if over_nothing:
                self._create_noarch(tree)
            published = self._publishing.publish(
                digest,
                tidy=self.outcome.inputs_were_read,
                revives=is_first or self._request.is_create_or_adopt,
            )
            self.outcome.add_published(published)
            wanted = wanted_outputs(tree, self._catalog.rules(tree).config)
            is_partial = over_nothing and 0 < published.files_written < len(wanted)
            if is_partial or published.files_deleted:
                self._follow_newer(digest, revives=is_partial)
        ctx.warm_cache.put_tree(subdir, digest, tree)
        if self._publishing:
            ctx.warm_cache.mark_published(subdir, digest, began_ms=self.outcome.began_ms)

    def _follow_newer(self, digest: str, *, revives: bool) -> None:
        """Publish the head, if it has moved on meanwhile.

        If files were written where none were, this publication stopped behind the first of them.
        The merge of a newer head may have seen none, and have taken the subdir for moved away.  If
        files were deleted, they may have been those that the merge of a newer head had just
        written.
        """
        newer = self._head.read()
        self._delete_buried_files(newer.value)
        tree = newer.value.tree
        if self._publishing and tree is not None and tree != digest:
            published = self._publishing.publish(
                tree, tidy=self.outcome.inputs_were_read, revives=revives
            )
            self.outcome.add_published(published)
            if published.files_deleted:
                self._follow_newer(tree, revives=False)

    def _delete_buried_files(self, head: Head) -> None:
        """Delete index files that are left of a subdir that was retired."""
        if head.is_tombstone and self._publishing:
            delete_buried_files(
                self._ctx.channel,
                self._request.subdir,
                head,
                owner=self._ctx.publisher.owner,
                executor=self._ctx.executor,
            )

    def _create_noarch(self, tree: Tree) -> None:
        """Publish a ``noarch/repodata.json`` before the first index, if the channel has none.

        Without it clients fail, because CEP 26 demands it.  What is staged for it, this merge could
        not report.  The merge that was requested may run at the same time.  It does the same if
        this process dies, or if this fails.
        """
        noarch = Subdir(self._request.subdir.channel, NOARCH)
        if not tree.public or noarch == self._request.subdir:
            return
        if self._ctx.channel.head(noarch.file_key(REPODATA)) is None:
            if not self.outcome.adopted:  # else it was requested before the swap
                self._ctx.follow_ups(self._request.subdir).request_noarch()
            with suppress(SluiceError):
                request = MergeRequest(noarch, not_before=0, create=True)
                merge(self._ctx, request, time_left_ms=self._time_left_ms, read_staging=False)

    def _write_channel_note(self, head: Head, tree: Tree, rules: RenderRules) -> None:
        """Notify the channel's own merge of the changes, if any of its files show them."""
        outcome = self.outcome
        if not tree.public or not (outcome.names or outcome.inputs_were_read):
            return
        if needs_channel_note(rules.config, config_changed=outcome.inputs_were_read):
            names = tree.shown if outcome.all_names else outcome.names
            self._ctx.note_writer.write(
                self._request.subdir,
                head.generation,
                self._entries_by_name(tree, sorted(names)),
                rules,
                everything=outcome.all_names,
            )

    def _entries_by_name(self, tree: Tree, names: Sequence[str]) -> Iterator[tuple[str, Entries]]:
        remaining = iter(names)
        for nodes in node_chunks(map(tree.names.get, names), NAMES_AT_ONCE):
            yield from zip(islice(remaining, len(nodes)), self._catalog.entries(nodes), strict=True)


def _has_only_removals(batch: staging.StagingBatch) -> bool:
    """Whether a batch is about nothing but removals, as far as this sluice can read it."""
    is_readable = not batch.unreadable and not batch.too_new
    return is_readable and all(isinstance(record, Removed) for record in batch.records)
