"""Writes the next generation: leaves and shards of the changed names, a tree, a commit.

Nothing here is visible before the head is swapped.  A merge that loses or is killed leaves only
garbage, under names that never recur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from msgspec import UNSET

from sluice.catalog import node as render
from sluice.catalog import tree
from sluice.catalog.client_view import RenderRules
from sluice.catalog.codec import content_digest
from sluice.catalog.commit import Commit, encode_commit
from sluice.catalog.entry import CarriedRecord, Entries, Entry, Pin, Record, Reject, is_rejected
from sluice.catalog.head import Head
from sluice.catalog.node import RenderedNode
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import Pending, weighted_chunks
from sluice.conda.names import NO_NAME, package_name
from sluice.conda.timestamps import EpochMs
from sluice.layout import Subdir
from sluice.limits import (
    FILES_AT_ONCE,
    LARGE_RECORDS_BYTES_MAX,
    NAMES_AT_ONCE,
    REJECTS_PER_SUBDIR_MAX,
    SWAP_SECONDS_MAX,
)
from sluice.merge import apply_staging
from sluice.merge.apply_staging import CommitChanges
from sluice.merge.large_records import limit_large_records
from sluice.merge.leaf_writer import LeafWriter
from sluice.merge.plan import CommitPlan
from sluice.merge.take_over_steps import TakeOverStep, WrittenName
from sluice.publish.rejects_document import has_warnings
from sluice.runtime import Runtime
from sluice.storage import object_headers
from sluice.takeover.existing_index import ExistingIndex
from sluice.takeover.progress import FinishedName


@dataclass(slots=True)
class Draft:
    """The nodes of the names that a commit changes, while their leaves and shards are written."""

    at: EpochMs
    """Time of the commit."""
    not_after_ms: EpochMs
    """Deadline for swapping a head to this draft, by the clock of the state's store.

    It counts from before the first write, and not from ``at``, which can be in the future."""
    nodes: dict[str, Node | None] = field(default_factory=dict)
    """``None``: the name has no entries any more."""
    pinned: set[str] = field(default_factory=set)
    """Those of these names that have pins."""
    difference: CommitChanges = field(default_factory=CommitChanges)
    taken_over: int = 0
    """Records from the index that was there before sluice."""
    rejects_left_out: int = 0
    """Files that cannot be indexed, beyond the rejects that a subdir keeps."""
    lags_ms: list[int] = field(default_factory=list)
    """Commit time - upload time, for each upload that enters the index."""
    names_left: int = 0
    """Names that a later step of the take-over drafts."""
    writes: list[Pending[None]] = field(default_factory=list)
    """Writes of leaves, packs and shards that may still be in progress."""

    def wait_written(self) -> None:
        """Wait for all writes to finish; raises ``Unavailable``."""
        while self.writes:
            self.writes.pop()()

    def add_finished(self, names: Mapping[str, FinishedName]) -> None:
        """Add names that earlier steps of a take-over have written."""
        for name, finished in names.items():
            if finished.node:
                self.nodes[name] = finished.node
            self.taken_over += finished.taken_over
            self.difference.rejects_changed |= finished.rejects_changed
            self.pinned |= {name} if finished.has_pins else set()


@dataclass(frozen=True, slots=True)
class _Judged:
    """One name, as it will be."""

    after: Entries
    is_changed: bool
    taken_over: int
    """Records from the index that was there before sluice."""
    rejects_changed: bool


class _Judge:
    """Decides on the entries of each name that a plan is about.  Pure, but for the draft's sums."""

    def __init__(self, plan: CommitPlan, base: ExistingIndex, draft: Draft, parent: Tree) -> None:
        self._plan = plan
        self._base = base
        self._draft = draft
        self._room = REJECTS_PER_SUBDIR_MAX - parent.rejects
        """How many more rejects the subdir may keep."""
        self._large_room = LARGE_RECORDS_BYTES_MAX - parent.large_bytes
        """How many more bytes of large records it may have."""
        self._by_name: dict[str, dict[str, apply_staging.Verdict | None]] = {}
        for filename, verdict in plan.verdicts.items():
            self._by_name.setdefault(package_name(filename), {})[filename] = verdict

    @property
    def names(self) -> set[str]:
        """The names that may change."""
        plan = self._plan
        return {*self._by_name, *plan.edits, *self._base.names, *plan.rerender_names}

    def judge(self, name: str, old: Entries) -> _Judged:
        """Decide on one name, which has the entries ``old`` in the parent."""
        plan, draft, at = self._plan, self._draft, self._plan.committed_at
        taken_over = self._base.entries(name, at=at)
        before = apply_staging.overlay_existing(taken_over, old)
        limited, self._large_room = limit_large_records(
            before,
            apply_staging.apply_verdicts(before, self._by_name.get(name, {}), at=at),
            room=self._large_room,
            at=at,
        )
        judged, left_out = apply_staging.limit_new_rejects(before, limited, room=self._room)
        self._room += len(_rejects(before)) - len(_rejects(judged))
        after = apply_staging.apply_edits(judged, plan.edits.get(name, {}))
        if name == NO_NAME:
            after = _without_rejects(after)
        count = sum(isinstance(entry, Record | CarriedRecord) for entry in taken_over.values())
        draft.taken_over += count
        draft.rejects_left_out += left_out
        is_changed = after != old or name in plan.rerender_names
        rejects_changed = False
        if is_changed:
            draft.difference.add_entries(before, after)
            # A record there may have hidden a reject of ours that is now gone.
            rejects_changed = _rejects(old) != _rejects(after)
            draft.lags_ms += _lags(before, after, at=at)
        return _Judged(after, is_changed, count, rejects_changed)


@dataclass(frozen=True, slots=True)
class GenerationWriter:
    """Writes generations of one subdir."""

    runtime: Runtime
    subdir: Subdir
    catalog: CatalogReader

    def prefetch_leaves(self, parent: Tree, filenames: Iterable[str]) -> None:
        """Start to read the leaves that a draft about these files needs first."""
        names = sorted({package_name(filename) for filename in filenames})
        self.catalog.prefetch(parent.names.get(name) for name in names[:NAMES_AT_ONCE])

    def draft(self, parent: Tree, plan: CommitPlan, step: TakeOverStep | None = None) -> Draft:
        """Write the leaves and shards of the names that ``plan`` changes in ``parent``.

        ``step``: of a take-over.  If its time ends, the draft has ``names_left``, and cannot be
        committed.
        """
        base = plan.existing_index or ExistingIndex()
        draft = Draft(
            plan.committed_at,
            not_after_ms=step.not_after_ms
            if step
            else self.runtime.state.now_ms() + SWAP_SECONDS_MAX * 1000,
        )
        judge = _Judge(plan, base, draft, parent)
        names_to_judge = judge.names | _names_of_former_rejects(parent)
        if step:
            finished = step.finished(names_to_judge)
            draft.add_finished(finished)
            names_to_judge -= finished.keys()
        draft.names_left = len(names_to_judge)
        leaf_writer = LeafWriter(
            self.runtime, self.subdir, draft.writes, leaves_max=len(names_to_judge)
        )

        def files(name: str) -> int:
            node = parent.names.get(name)
            return len(base.names.get(name, ())) + (node.files if node else 0)

        for names in weighted_chunks(
            sorted(names_to_judge), NAMES_AT_ONCE, weight=files, weight_max=FILES_AT_ONCE
        ):
            if step and step.is_over():
                break
            known = self.catalog.entries([parent.names.get(name) for name in names])
            judged = {name: judge.judge(name, old) for name, old in zip(names, known, strict=True)}
            draft.wait_written()  # bodies are held in memory until then: of two rounds at most
            if step:
                step.confirm(leaf_writer.waiting_names)
            changed = {name: one.after for name, one in judged.items() if one.is_changed}
            nodes = self._write_names(draft, leaf_writer, changed, rules=plan.rules)
            draft.nodes.update(nodes)
            draft.names_left -= len(names)
            pinned = {name for name, entries in changed.items() if _has_pins(entries)}
            draft.pinned |= pinned
            written = [
                WrittenName(
                    name,
                    nodes.get(name),
                    taken_over=one.taken_over,
                    rejects_changed=one.rejects_changed
                    or (
                        name in nodes
                        and (has_warnings(parent.names.get(name)) or has_warnings(nodes[name]))
                    ),
                    has_pins=name in pinned,
                )
                for name, one in judged.items()
            ]
            draft.difference.rejects_changed |= any(name.rejects_changed for name in written)
            if step:
                step.add(written)
            _settle_nodes(draft, leaf_writer, step)
        leaf_writer.finish()
        _settle_nodes(draft, leaf_writer, step)
        draft.difference.rejects_changed |= plan.document_changed(parent)
        return draft

    def commit(
        self,
        parent: Tree,
        head: Head,
        draft: Draft,
        plan: CommitPlan,
        *,
        writer: str,
        on_tree: Callable[[str], None] | None = None,
    ) -> Head:
        """Write the tree and the commit of a draft, and return the head that would refer to them.

        All that the head refers to exists then, and is kept at least until the draft's
        ``not_after_ms``.  ``writer``: see ``Head``.  ``on_tree`` is called with the digest of the
        tree while the tree is being written.
        """
        base = plan.existing_index or ExistingIndex()
        generation = max(head.generation, base.generation) + 1
        grown = tree.next_tree(
            parent,
            draft.nodes,
            generation=generation,
            at=draft.at,
            public=plan.public,
            # A retirement that was given up leaves the document of the generations before it.
            rejects_changed=draft.difference.rejects_changed or head.is_tombstone,
            info=base.info,
            inputs=plan.inputs.inputs if plan.inputs else UNSET,
            pinned=draft.pinned,
        )
        tree_body = tree.encode_tree(grown)
        tree_digest = content_digest(tree_body)
        shards_digest = content_digest(base.shard_index) if base.shard_index else None
        patch = _patch_digest(grown)
        commit_body = encode_commit(
            Commit(
                generation=generation,
                tree=tree_digest,
                parent=head.commit,
                at=draft.at,
                added=draft.difference.added,
                replaced=draft.difference.replaced,
                removed=draft.difference.removed,
                rejected=draft.difference.rejected,
                taken_over=draft.taken_over,
                taken_over_shards=shards_digest,
                config=grown.inputs.config.digest if grown.inputs else None,
                patch=patch,
                amendment=plan.amendment,
                inputs=plan.input_changes(parent),
            )
        )
        commit_digest = content_digest(commit_body)
        subdir = self.subdir
        bodies = [(subdir.tree_key(tree_digest), tree_body, object_headers.PRIVATE_ZSTD_HEADERS)]
        bodies.append(
            (subdir.commit_key(commit_digest), commit_body, object_headers.PRIVATE_JSON_HEADERS)
        )
        if base.shard_index and shards_digest:
            key = subdir.taken_over_key(shards_digest)
            bodies.append((key, base.shard_index, object_headers.PRIVATE_ZSTD_HEADERS))
        if plan.inputs and plan.inputs.patch_body and patch:
            key = subdir.patches.key(patch)
            bodies.append((key, plan.inputs.patch_body, object_headers.PRIVATE_ZSTD_HEADERS))
        draft.writes += [
            self.runtime.executor.submit(partial(self.runtime.state.put, *body)) for body in bodies
        ]
        self.catalog.cache_tree(tree_digest, grown)
        if on_tree:
            on_tree(tree_digest)
        draft.wait_written()
        return Head(
            generation=generation,
            epoch=head.epoch,
            commit=commit_digest,
            tree=tree_digest,
            writer=writer,
        )

    def _write_names(
        self,
        draft: Draft,
        leaf_writer: LeafWriter,
        changed: Mapping[str, Entries],
        *,
        rules: RenderRules,
    ) -> dict[str, Node | None]:
        """Begin to write the leaves and shards of some names.

        Their nodes do not say yet which leaves are in packs, see ``_settle_nodes``.
        """
        nodes: dict[str, Node | None] = {}
        for name, entries in changed.items():
            if not entries:
                nodes[name] = None
                continue
            rendered = render.render_node(name, entries, at=draft.at, rules=rules)
            leaf_writer.add(name, rendered.node, rendered.leaf_body)
            self._write_shard(draft, rendered)
            self.catalog.cache_entries(rendered.node, entries)
            nodes[name] = rendered.node
        return nodes

    def _write_shard(self, draft: Draft, rendered: RenderedNode) -> None:
        if rendered.node.shard and rendered.shard_body:
            put = partial(
                self.runtime.channel.put,
                self.subdir.shard_key(rendered.node.shard.hex()),
                rendered.shard_body,
                object_headers.SHARD_HEADERS,
            )
            draft.writes.append(self.runtime.executor.submit(put))


def _settle_nodes(draft: Draft, leaf_writer: LeafWriter, step: TakeOverStep | None) -> None:
    """Have nodes say where their leaves are, as soon as that is known."""
    settled = leaf_writer.take_settled()
    draft.nodes |= settled
    if step:
        step.settle(settled)


def _rejects(entries: Entries) -> dict[str, Reject]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, Reject)}


def _has_pins(entries: Entries) -> bool:
    return any(isinstance(entry, Pin) for entry in entries.values())


def _without_rejects(entries: Entries) -> dict[str, Entry]:
    """What has no parsable name, without rejects: anybody can upload such files."""
    return {name: entry for name, entry in entries.items() if not is_rejected(entry)}


def _names_of_former_rejects(parent: Tree) -> set[str]:
    """The name under which earlier versions kept rejects of files whose names nobody can parse."""
    unnamed = parent.names.get(NO_NAME)
    return {NO_NAME} if unnamed and unnamed.rejects else set()


def _patch_digest(tree: Tree) -> str | None:
    patch = tree.inputs.patch if tree.inputs else None
    return patch.instructions if patch else None


def _lags(before: Entries, after: Entries, *, at: EpochMs) -> Iterator[int]:
    for filename, entry in after.items():
        old = before.get(filename)
        # An object that was only read again, for example by a newer extractor, was not waiting.
        known = isinstance(old, Record) and old.identity == entry.identity
        if isinstance(entry, Record) and entry.identity and not known:
            yield at - entry.identity.modified * 1000
