"""One check of one subdir: its catalog, its shards, its index files and its packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5, sha256
from itertools import chain

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.progress import Progress, Step
from sluice.admin.session.subdirs import indexes_that_need
from sluice.admin.standalone.listing import list_subdir_in_parts
from sluice.admin.verify.comparing_store import ComparingStore
from sluice.admin.verify.findings import CheckResults, Defect
from sluice.catalog import entry as leaves
from sluice.catalog import node as nodes
from sluice.catalog import tree as trees
from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.codec import content_digest
from sluice.catalog.commit import decode_commit
from sluice.catalog.entry import Entries, Record
from sluice.catalog.head import Head, read_head
from sluice.catalog.leaf_reader import LeafReader, is_intact, stored_key
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH, package_name
from sluice.errors import Archived, Changed, Corrupt, TooNew
from sluice.extract import staging
from sluice.layout import REPODATA, Subdir
from sluice.limits import NAMES_AT_ONCE
from sluice.publish.fence import Stamp
from sluice.publish.moved_away import is_moved_away
from sluice.publish.outputs import file_stamp, wanted_outputs
from sluice.publish.publisher import Publisher
from sluice.reconcile import compare as comparing
from sluice.reconcile.compare import ReExtractCriteria, compare_files
from sluice.reconcile.input_drift import config_of_tree
from sluice.reconcile.listing import Listing, list_subdir
from sluice.storage.versioned_object import ObjectVersion

_DIFFERENCES = {
    comparing.DiffKind.MISSING: (
        Defect.PACKAGE_UNKNOWN,
        "it is in the bucket, but not in the catalog",
    ),
    comparing.DiffKind.CHANGED: (
        Defect.PACKAGE_CHANGED,
        "it is a different object from the one that was indexed",
    ),
    comparing.DiffKind.GONE: (Defect.PACKAGE_GONE, "it is in the catalog, but not in the bucket"),
}


_OTHER_BYTES = "its content does not match the digest in its name"
_HASHED_AT_ONCE = 1024
_STORED_VERDICTS = ReExtractCriteria(now_ms=0, re_extract=False)
"""Accepts stored verdicts, even if an extractor of today would judge differently."""
_CATALOG_DAMAGE = frozenset({Defect.LEAF_DAMAGED, Defect.TREE_DAMAGED})


class SubdirSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of what was checked in one subdir."""

    subdir: str
    generation: int
    names: int
    packages: int
    hashed: int
    """Packages that were hashed."""


@dataclass(frozen=True, slots=True)
class _NameCheck:
    """The result for one name."""

    entries: Entries
    findings: Sequence[tuple[Defect, str, str]]


class _ComparingPublisher(Publisher):
    """Publishes the head from the start of the check; ``head_changed`` shows if it is current."""

    def is_newest(self, subdir: Subdir, digest: str) -> bool:  # noqa: ARG002
        """See ``Publisher.is_newest``."""
        return True


def _wrong_bytes(node: Node) -> str:
    if node.place is None:
        return _OTHER_BYTES
    return (
        f"its {node.place.length} bytes at offset {node.place.offset} do not match the digest of "
        f"leaf {node.leaf.hex()}"
    )


class SubdirVerifier:
    """Checks one subdir once."""

    def __init__(self, channel: Channel, subdir: Subdir, *, deep: bool, progress: Progress) -> None:
        self._channel = channel
        self._subdir = subdir
        self._deep = deep
        self._progress = progress
        self._version: ObjectVersion[Head] | None = None
        self._hashed = 0
        self.results = CheckResults(subdir)
        self.summaries: list[SubdirSummary] = []

    def head_changed(self) -> bool:
        """Whether the head was swapped since it was read; ``False`` if there are no findings."""
        if not self.results.findings or self._version is None:
            return False
        return self._channel.state.head(self._subdir.head_key) is not None and (
            read_head(self._channel.state, self._subdir).etag != self._version.etag
        )

    def run(self) -> None:
        """Check everything in the subdir."""
        results, subdir = self.results, self._subdir
        try:
            version = read_head(self._channel.state, subdir)
        except TooNew:
            raise
        except Corrupt as error:
            results.add_finding(Defect.HEAD_DAMAGED, subdir.head_key, str(error))
            return
        self._version = version
        if version.value.tree is None:
            self._check_unknown_subdir()
            return
        self._check_commit(version)
        tree = self._check_tree(version)
        if tree is None:
            return
        staged = self._staged_files()
        listing = list_subdir_in_parts(self._channel.public, subdir, tree, self._channel.executor)
        catalog = CatalogReader(self._channel.state, subdir, self._channel.executor)
        rules = self._rules(catalog, tree)
        leaf_reader = LeafReader(self._channel.state, subdir)
        names = sorted(tree.names.keys() | listing.names.keys())
        self._progress.expect(Step.NAMES, len(names))
        for batch in chunks(names, NAMES_AT_ONCE):
            bodies = self._read_leaves(leaf_reader, filter(None, map(tree.names.get, batch)))
            self._check_names(batch, tree, bodies, rules, listing, staged)
            self._progress.done(Step.NAMES, len(batch))
        self._check_files(version, tree, listing)
        self._set_aside_unpublished()
        self.summaries.append(
            SubdirSummary(
                subdir=subdir.name,
                generation=version.value.generation,
                names=len(tree.names),
                packages=listing.package_count,
                hashed=self._hashed,
            )
        )

    def _check_unknown_subdir(self) -> None:
        """Check a folder that the catalog does not know: no subdir, or not indexed yet."""
        listing = list_subdir(self._channel.public, self._subdir)
        staged = self._staged_files()
        for files in listing.names.values():
            for filename in sorted(files.keys() - staged):
                self.results.add_finding(
                    Defect.PACKAGE_UNKNOWN,
                    self._subdir.file_key(filename),
                    "it is in a subdir that has never been indexed",
                )
        if self._subdir.name == NOARCH and not listing.package_count:
            self.results.add_finding(
                Defect.FILE_MISSING,
                self._subdir.file_key(REPODATA),
                "it does not exist, and every channel needs a noarch, even an empty one (CEP 26)",
            )

    def _staged_files(self) -> set[str]:
        """Files that are on their way into the index."""
        listed = self._channel.state.list(self._subdir.staging_prefix)
        return {self._subdir.staged_filename(info.key) or "" for info in listed}

    def _set_aside_unpublished(self) -> None:
        """Accept index files that are behind while a merge that was requested publishes them."""
        behind = [one for one in self.results.findings if one.kind is Defect.FILE_BEHIND]
        staged = self._channel.state.list(self._subdir.staging_prefix)
        if behind and staging.is_being_merged(staged, now_ms=self._channel.clock()):
            for finding in behind:
                self.results.findings.remove(finding)
            self.results.unchecked.append(
                f"the index files of {self._subdir.prefix}: a merge is publishing changes"
            )

    def _check_commit(self, version: ObjectVersion[Head]) -> None:
        head = version.value
        key = self._subdir.commit_key(head.commit or "")
        stored = self._channel.state.get(key)
        if stored is None:
            self.results.add_finding(Defect.COMMIT_DAMAGED, key, "it does not exist")
        elif content_digest(stored.body) != head.commit:
            self.results.add_finding(Defect.COMMIT_DAMAGED, key, _OTHER_BYTES)
        else:
            commit = decode_commit(stored.body, what=key)
            if (commit.tree, commit.generation) != (head.tree, head.generation):
                self.results.add_finding(
                    Defect.COMMIT_DAMAGED, key, "it describes another generation than the head"
                )

    def _check_tree(self, version: ObjectVersion[Head]) -> Tree | None:
        head = version.value
        key = self._subdir.tree_key(head.tree or "")
        stored = self._channel.state.get(key)
        if stored is None:
            self.results.add_finding(Defect.TREE_DAMAGED, key, "it does not exist")
            return None
        if content_digest(stored.body) != head.tree:
            self.results.add_finding(Defect.TREE_DAMAGED, key, _OTHER_BYTES)
            return None
        tree = trees.decode_tree(stored.body, what=key)
        if tree.generation != head.generation:
            self.results.add_finding(
                Defect.TREE_DAMAGED, key, "it describes another generation than the head"
            )
            return None
        return tree

    def _rules(self, catalog: CatalogReader, tree: Tree) -> RenderRules | None:
        """What decides, besides the leaves, what clients see; ``None`` if that is damaged."""
        patch = tree.inputs.patch if tree.inputs else None
        if patch and patch.instructions:
            key = self._subdir.patches.key(patch.instructions)
            stored = self._channel.state.get(key)
            if stored is None or content_digest(stored.body) != patch.instructions:
                self.results.add_finding(
                    Defect.TREE_DAMAGED, key, "the instructions of the active patch are damaged"
                )
                return None
        return catalog.rules(tree)

    def _read_leaves(
        self, leaf_reader: LeafReader, nodes: Iterable[Node]
    ) -> dict[bytes, bytes | None]:
        """The bytes of some leaves, by digest, whether they are damaged or not."""
        groups = leaf_reader.plan_reads(list(nodes))
        read = self._channel.executor.map(leaf_reader.read_group, groups)
        return {
            node.leaf: body
            for group, bodies in zip(groups, read, strict=True)
            for node, body in zip(group, bodies, strict=True)
        }

    def _check_names(
        self,
        names: Sequence[str],
        tree: Tree,
        bodies: Mapping[bytes, bytes | None],
        rules: RenderRules | None,
        listing: Listing,
        staged: set[str],
    ) -> None:
        """Check the leaves, shards and packages of some names."""
        checked = self._channel.executor.map(
            lambda name: self._check_name(name, tree, bodies, rules), names
        )
        to_hash: list[tuple[str, Record]] = []
        for name, check in zip(names, checked, strict=True):
            for kind, key, reason in check.findings:
                self.results.add_finding(kind, key, reason, name=name)
            if any(kind is Defect.LEAF_DAMAGED for kind, _, _ in check.findings):
                continue
            listed = listing.names.get(name, {})
            differing = set(staged)
            for difference in compare_files(listed, check.entries, _STORED_VERDICTS):
                if difference.kind in _DIFFERENCES and difference.filename not in staged:
                    kind, reason = _DIFFERENCES[difference.kind]
                    key = self._subdir.file_key(difference.filename)
                    self.results.add_finding(kind, key, reason, name=name)
                    differing.add(difference.filename)
            to_hash += [
                (filename, entry)
                for filename, entry in check.entries.items()
                if isinstance(entry, Record) and filename in listed and filename not in differing
            ]
        if self._deep:
            self._hash_packages(to_hash)

    def _check_name(
        self,
        name: str,
        tree: Tree,
        bodies: Mapping[bytes, bytes | None],
        rules: RenderRules | None,
    ) -> _NameCheck:
        node = tree.names.get(name)
        if node is None:
            return _NameCheck({}, ())
        findings: list[tuple[Defect, str, str]] = []
        entries: Entries = {}
        key = stored_key(self._subdir, node)
        body = bodies[node.leaf]
        if body is None:
            findings.append((Defect.LEAF_DAMAGED, key, "it does not exist"))
        elif not is_intact(body, node):
            findings.append((Defect.LEAF_DAMAGED, key, _wrong_bytes(node)))
        else:
            leaf = leaves.decode_leaf(body, what=key)
            entries = leaf.entries
            inputs = tree.inputs or None
            is_current = inputs is not None and inputs.renderer == nodes.RENDERER_VERSION
            rendered = nodes.render_node(name, entries, at=leaf.at, rules=rules or NO_RULES)
            expected = msgspec.structs.replace(rendered.node, leaf=node.leaf, place=node.place)
            if rules is None or not is_current:  # other rules; reconcile requests a merge
                expected = msgspec.structs.replace(expected, shard=node.shard, extras=node.extras)
            if expected != node:
                wrong = ", ".join(
                    field
                    for field in Node.__struct_fields__
                    if getattr(expected, field) != getattr(node, field)
                )
                findings.append(
                    (Defect.NODE_WRONG, key, f"the tree has wrong values for it: {wrong}")
                )
        if node.shard:
            findings += self._check_shard(node.shard)
        return _NameCheck(entries, findings)

    def _check_shard(self, expected: bytes) -> Iterator[tuple[Defect, str, str]]:
        key = self._subdir.shard_key(expected.hex())
        stored = self._channel.public.get(key)
        if stored is None:
            yield Defect.SHARD_DAMAGED, key, "it does not exist, but the shard index refers to it"
        elif sha256(stored.body).digest() != expected:
            yield Defect.SHARD_DAMAGED, key, _OTHER_BYTES

    def _check_files(self, version: ObjectVersion[Head], tree: Tree, listing: Listing) -> None:
        """Render every index file, and compare the current one with it."""
        public = ComparingStore(self._channel.public, self.results)
        private = ComparingStore(
            self._channel.state,
            self.results,
            since={self._subdir.rejects_key: tree.rejects_generation},
        )
        publisher = _ComparingPublisher(
            public, private, self._channel.owner or "", max_age_seconds=0
        )
        catalog = CatalogReader(self._channel.state, self._subdir, self._channel.executor)
        others = indexes_that_need(self._channel, self._subdir)
        moved_away = is_moved_away(tree, chain(listing.index_files, others))
        try:
            if not any(finding.kind in _CATALOG_DAMAGE for finding in self.results.findings):
                publisher.publish(
                    self._subdir,
                    version.value,
                    catalog,
                    revives=not moved_away,
                    executor=self._channel.executor,
                )
            elif tree.public and not moved_away:
                self._check_stamps(version, tree, public)
        except Corrupt as error:
            self.results.unchecked.append(f"the index files of {self._subdir.prefix}: {error}")
            return
        if tree.public:
            unwanted = [
                self._subdir.file_key(file)
                for file in sorted(listing.index_files)
                if self._subdir.file_key(file) not in public.seen
            ]
            for key, info in zip(
                unwanted,
                self._channel.executor.map(self._channel.public.head, unwanted),
                strict=True,
            ):
                if info and Stamp.parse(info.metadata):
                    self.results.add_finding(
                        Defect.FILE_BEHIND, key, "the configuration no longer includes it"
                    )

    def _check_stamps(
        self, version: ObjectVersion[Head], tree: Tree, public: ComparingStore
    ) -> None:
        """Check at least the stamps of the index files, if their content cannot be rendered."""
        ours = Stamp(tree.generation, version.value.tree or "", self._channel.owner or "")
        for file in wanted_outputs(tree, config_of_tree(tree)):
            public.check_stamp(self._subdir.file_key(file), file_stamp(file, tree, ours))
        self.results.unchecked.append(
            f"the content of the index files of {self._subdir.prefix}, because the catalog is "
            "damaged"
        )

    def _hash_packages(self, packages: Sequence[tuple[str, Record]]) -> None:
        self._progress.expect(Step.HASHED, len(packages))
        for batch in chunks(packages, _HASHED_AT_ONCE):
            reasons = self._channel.executor.map(self._hash_package, batch)
            for (filename, _), reason in zip(batch, reasons, strict=True):
                if reason:
                    key = self._subdir.file_key(filename)
                    name = package_name(filename)
                    self.results.add_finding(Defect.PACKAGE_WRONG, key, reason, name=name)
            self._hashed += len(batch)
            self._progress.done(Step.HASHED, len(batch))

    def _hash_package(self, package: tuple[str, Record]) -> str | None:
        """The problem of a package, if there is one."""
        filename, entry = package
        hashers = {"sha256": sha256(), "md5": md5(usedforsecurity=False)}
        size = 0
        try:
            with self._channel.public.open(self._subdir.file_key(filename)) as opened:
                if opened is None:
                    return None  # removed since the listing
                for chunk in opened.chunks:
                    size += len(chunk)
                    for hasher in hashers.values():
                        hasher.update(chunk)
        except Changed:
            return None
        except Archived:
            return "it is in an archive storage class, so it cannot be read"
        actual = {name: hasher.hexdigest() for name, hasher in hashers.items()} | {"size": size}
        wrong = [
            name
            for name, value in actual.items()
            if entry.record.get(name) is not None and entry.record[name] != value
        ]
        mismatch = ", ".join(f"{name} is {actual[name]}" for name in wrong)
        return f"its {mismatch}, which differs from its record" if wrong else None
