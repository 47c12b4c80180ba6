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
from sluice.catalog.entry import CarriedRecord, Entries, Entry, Pin, Record, Reject
from sluice.catalog.head import Head
from sluice.catalog.node import RenderedNode
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import Pending, chunks
from sluice.conda.names import NO_NAME, package_name
from sluice.layout import Subdir
from sluice.limits import NAMES_AT_ONCE, REJECTS_PER_SUBDIR_MAX, SWAP_SECONDS_MAX
from sluice.merge import apply_staging
from sluice.merge.apply_staging import CommitChanges
from sluice.merge.plan import CommitPlan
from sluice.runtime import Runtime
from sluice.storage import object_headers
from sluice.takeover.existing_index import ExistingIndex


@dataclass(slots=True)
class Draft:
    """The nodes of the names that a commit changes, while their leaves and shards are written."""

    at: int
    """Time of the commit, ms since the epoch."""
    not_after_ms: int
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
    writes: list[Pending[None]] = field(default_factory=list)
    """Writes of leaves and shards that may still be in progress."""

    def wait_written(self) -> None:
        """Wait for all writes to finish; raises ``Unavailable``."""
        while self.writes:
            self.writes.pop()()


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

    def draft(self, parent: Tree, plan: CommitPlan) -> Draft:
        """Write the leaves and shards of the names that ``plan`` changes in ``parent``."""
        base = plan.existing_index or ExistingIndex()
        by_name: dict[str, dict[str, apply_staging.Verdict | None]] = {}
        for filename, verdict in plan.verdicts.items():
            by_name.setdefault(package_name(filename), {})[filename] = verdict
        at = plan.committed_at
        draft = Draft(at, not_after_ms=self.runtime.state.now_ms() + SWAP_SECONDS_MAX * 1000)
        names_to_judge = (
            by_name.keys()
            | plan.edits.keys()
            | base.names.keys()
            | plan.rerender_names
            | _names_of_former_rejects(parent)
        )
        room = REJECTS_PER_SUBDIR_MAX - parent.rejects
        for names in chunks(sorted(names_to_judge), NAMES_AT_ONCE):
            known = self.catalog.entries([parent.names.get(name) for name in names])
            changed: dict[str, Entries] = {}
            for name, old in zip(names, known, strict=True):
                taken_over = base.entries(name, at=at)
                draft.taken_over += sum(
                    isinstance(entry, Record | CarriedRecord) for entry in taken_over.values()
                )
                before = apply_staging.overlay_existing(taken_over, old)
                judged, left_out = apply_staging.limit_new_rejects(
                    before,
                    apply_staging.apply_verdicts(before, by_name.get(name, {}), at=at),
                    room=room,
                )
                room += len(_rejects(before)) - len(_rejects(judged))
                draft.rejects_left_out += left_out
                after = apply_staging.apply_edits(judged, plan.edits.get(name, {}))
                if name == NO_NAME:
                    after = _without_rejects(after)
                if after != old or name in plan.rerender_names:
                    changed[name] = after
                    draft.difference.add_entries(before, after)
                    # A record there may have hidden a reject of ours that is now gone.
                    draft.difference.rejects_changed |= _rejects(old) != _rejects(after)
                    draft.lags_ms += _lags(before, after, at=at)
            draft.wait_written()  # bodies are held in memory until then: of two rounds at most
            nodes = self._write_leaves(draft, changed, rules=plan.rules)
            draft.nodes.update(nodes)
            draft.pinned |= {name for name, entries in changed.items() if _has_pins(entries)}
            draft.difference.rejects_changed |= any(
                _warns(parent.names.get(name)) or _warns(node) for name, node in nodes.items()
            )
        draft.difference.rejects_changed |= plan.problems_changed(parent)
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
            rejects_changed=draft.difference.rejects_changed,
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

    def _write_leaves(
        self, draft: Draft, changed: Mapping[str, Entries], *, rules: RenderRules
    ) -> dict[str, Node | None]:
        rendered = {
            name: render.render_node(name, entries, at=draft.at, rules=rules)
            for name, entries in changed.items()
            if entries
        }
        draft.writes += map(self.runtime.executor.submit, self._puts(rendered.values()))
        for name, node in rendered.items():
            self.catalog.cache_entries(node.node, changed[name])
        return {name: rendered[name].node if name in rendered else None for name in changed}

    def _puts(self, rendered: Iterable[RenderedNode]) -> Iterator[partial[None]]:
        for node in rendered:
            yield partial(
                self.runtime.state.put,
                self.subdir.leaf_key(node.node.leaf.hex()),
                node.leaf_body,
                object_headers.PRIVATE_ZSTD_HEADERS,
            )
            if node.node.shard and node.shard_body:
                yield partial(
                    self.runtime.channel.put,
                    self.subdir.shard_key(node.node.shard.hex()),
                    node.shard_body,
                    object_headers.SHARD_HEADERS,
                )


def _rejects(entries: Entries) -> dict[str, Reject]:
    return {name: entry for name, entry in entries.items() if isinstance(entry, Reject)}


def _has_pins(entries: Entries) -> bool:
    return any(isinstance(entry, Pin) for entry in entries.values())


def _without_rejects(entries: Entries) -> dict[str, Entry]:
    return {name: entry for name, entry in entries.items() if not isinstance(entry, Reject)}


def _names_of_former_rejects(parent: Tree) -> set[str]:
    """The name under which earlier versions kept rejects of files whose names nobody can parse."""
    unnamed = parent.names.get(NO_NAME)
    return {NO_NAME} if unnamed and unnamed.rejects else set()


def _warns(node: Node | None) -> bool:
    return node is not None and node.extras is not None and node.extras.warnings > 0


def _patch_digest(tree: Tree) -> str | None:
    patch = tree.inputs.patch if tree.inputs else None
    return patch.instructions if patch else None


def _lags(before: Entries, after: Entries, *, at: int) -> Iterator[int]:
    for filename, entry in after.items():
        old = before.get(filename)
        # An object that was only read again, for example by a newer extractor, was not waiting.
        known = isinstance(old, Record) and old.identity == entry.identity
        if isinstance(entry, Record) and entry.identity and not known:
            yield at - entry.identity.modified * 1000
