"""One look at one subdir: its catalog, its shards, its index files and its packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5, sha256

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.progress import Progress, Step
from sluice.admin.standalone.listing import list_in_parts
from sluice.admin.verify.comparing_store import HeldAgainst
from sluice.admin.verify.findings import Found, Kind
from sluice.catalog import entry as leaves
from sluice.catalog import node as render
from sluice.catalog import tree as trees
from sluice.catalog.client_view import PLAIN, Rules
from sluice.catalog.codec import digest
from sluice.catalog.commit import decode_commit
from sluice.catalog.entry import Entries, Record
from sluice.catalog.head import Head, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Node, Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH, package_name
from sluice.errors import Archived, Changed, Corrupt, TooNew
from sluice.layout import REPODATA, Subdir
from sluice.limits import NAMES_AT_ONCE
from sluice.publish.fence import Stamp
from sluice.publish.outputs import outputs, stamp_of
from sluice.publish.publisher import Publisher
from sluice.reconcile import compare as comparing
from sluice.reconcile.compare import Criteria, compare
from sluice.reconcile.input_drift import settings_of
from sluice.reconcile.listing import Listing, list_subdir
from sluice.storage.versioned_object import Version

_DIFFERENCES = {
    comparing.Kind.MISSING: (
        Kind.PACKAGE_UNKNOWN,
        "it is there, and the catalog does not know it",
    ),
    comparing.Kind.CHANGED: (
        Kind.PACKAGE_CHANGED,
        "another object is there than the one that was indexed",
    ),
    comparing.Kind.GONE: (Kind.PACKAGE_GONE, "the catalog knows it, and it is not there"),
}


_OTHER_BYTES = "its bytes are not those that its name tells"
_HASHED_AT_ONCE = 1024
_AS_THEY_ARE = Criteria(now_ms=0, re_extract=False)
"""Verdicts that would be passed otherwise today are none the less the catalog's."""
_SPOIL_FILES = frozenset({Kind.LEAF_DAMAGED, Kind.TREE_DAMAGED})


class SubdirVerified(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at in one subdir."""

    subdir: str
    generation: int
    names: int
    packages: int
    hashed: int
    """Packages that were hashed."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found about one name."""

    entries: Entries
    findings: Sequence[tuple[Kind, str, str]]


class _Comparing(Publisher):
    """Publishes what the head was when the look began: ``moved_on`` asks whether it still is."""

    def is_newest(self, subdir: Subdir, digest: str) -> bool:  # noqa: ARG002
        """See ``Publisher.is_newest``."""
        return True


class SubdirLook:
    """One look at one subdir."""

    def __init__(self, channel: Channel, subdir: Subdir, *, deep: bool, progress: Progress) -> None:
        self._channel = channel
        self._subdir = subdir
        self._deep = deep
        self._progress = progress
        self._version: Version[Head] | None = None
        self._hashed = 0
        self.found = Found(subdir)
        self.told: list[SubdirVerified] = []

    def moved_on(self) -> bool:
        """Tell whether the head has been swapped since it was read; no if nothing is wrong."""
        if not self.found.findings or self._version is None:
            return False
        return self._channel.state.head(self._subdir.head) is not None and (
            read_head(self._channel.state, self._subdir).etag != self._version.etag
        )

    def do(self) -> None:
        """Look at everything in the subdir."""
        found, subdir = self.found, self._subdir
        try:
            version = read_head(self._channel.state, subdir)
        except TooNew:
            raise
        except Corrupt as error:
            found.add(Kind.HEAD_DAMAGED, subdir.head, str(error))
            return
        self._version = version
        if version.value.tree is None:
            self._look_at_unknown()
            return
        self._check_commit(version)
        tree = self._check_tree(version)
        if tree is None:
            return
        staged = self._staged()
        listing = list_in_parts(self._channel.public, subdir, tree, self._channel.gather)
        catalog = CatalogReader(self._channel.state, subdir, self._channel.gather)
        rules = self._rules(catalog, tree)
        names = sorted(tree.names.keys() | listing.names.keys())
        self._progress.expect(Step.NAMES, len(names))
        for some in chunks(names, NAMES_AT_ONCE):
            self._check_names(some, tree, rules, listing, staged)
            self._progress.done(Step.NAMES, len(some))
        self._check_files(version, tree, listing)
        self.told.append(
            SubdirVerified(
                subdir=subdir.name,
                generation=version.value.generation,
                names=len(tree.names),
                packages=listing.objects,
                hashed=self._hashed,
            )
        )

    def _look_at_unknown(self) -> None:
        """A folder that the catalog does not know: either no subdir, or not indexed yet."""
        listing = list_subdir(self._channel.public, self._subdir)
        staged = self._staged()
        for files in listing.names.values():
            for filename in sorted(files.keys() - staged):
                self.found.add(
                    Kind.PACKAGE_UNKNOWN,
                    self._subdir.public(filename),
                    "nothing in this subdir was ever indexed",
                )
        if self._subdir.name == NOARCH and not listing.objects:
            self.found.add(
                Kind.FILE_MISSING,
                self._subdir.public(REPODATA),
                "every channel must have one (CEP 26), even if it is empty",
            )

    def _staged(self) -> set[str]:
        """Files that are on their way into the index."""
        listed = self._channel.state.list(self._subdir.staging)
        return {self._subdir.staged_filename(info.key) or "" for info in listed}

    def _check_commit(self, version: Version[Head]) -> None:
        head = version.value
        key = self._subdir.commit(head.commit or "")
        stored = self._channel.state.get(key)
        if stored is None:
            self.found.add(Kind.COMMIT_DAMAGED, key, "it is not there")
        elif digest(stored.body) != head.commit:
            self.found.add(Kind.COMMIT_DAMAGED, key, _OTHER_BYTES)
        else:
            commit = decode_commit(stored.body, what=key)
            if (commit.tree, commit.generation) != (head.tree, head.generation):
                self.found.add(
                    Kind.COMMIT_DAMAGED, key, "it is about another generation than the head"
                )

    def _check_tree(self, version: Version[Head]) -> Tree | None:
        head = version.value
        key = self._subdir.tree(head.tree or "")
        stored = self._channel.state.get(key)
        if stored is None:
            self.found.add(Kind.TREE_DAMAGED, key, "it is not there")
            return None
        if digest(stored.body) != head.tree:
            self.found.add(Kind.TREE_DAMAGED, key, _OTHER_BYTES)
            return None
        tree = trees.decode(stored.body, what=key)
        if tree.generation != head.generation:
            self.found.add(Kind.TREE_DAMAGED, key, "it is of another generation than the head")
            return None
        return tree

    def _rules(self, catalog: CatalogReader, tree: Tree) -> Rules | None:
        """What, beside the leaves, decides what clients see; ``None`` where that is damaged."""
        patch = tree.inputs.patch if tree.inputs else None
        if patch and patch.instructions:
            key = self._subdir.patches.key(patch.instructions)
            stored = self._channel.state.get(key)
            if stored is None or digest(stored.body) != patch.instructions:
                self.found.add(
                    Kind.TREE_DAMAGED, key, "the instructions of the patch in force are damaged"
                )
                return None
        return catalog.rules(tree)

    def _check_names(
        self,
        names: Sequence[str],
        tree: Tree,
        rules: Rules | None,
        listing: Listing,
        staged: set[str],
    ) -> None:
        """Look at the leaves, shards and packages of some names."""
        checked = self._channel.gather(
            lambda name: self._check_name(name, tree.names.get(name), tree, rules), names
        )
        to_hash: list[tuple[str, Record]] = []
        for name, one in zip(names, checked, strict=True):
            for kind, key, reason in one.findings:
                self.found.add(kind, key, reason, name=name)
            if any(kind is Kind.LEAF_DAMAGED for kind, _, _ in one.findings):
                continue
            there = listing.names.get(name, {})
            differing = set(staged)
            for difference in compare(there, one.entries, _AS_THEY_ARE):
                if difference.kind in _DIFFERENCES and difference.filename not in staged:
                    kind, reason = _DIFFERENCES[difference.kind]
                    key = self._subdir.public(difference.filename)
                    self.found.add(kind, key, reason, name=name)
                    differing.add(difference.filename)
            to_hash += [
                (filename, entry)
                for filename, entry in one.entries.items()
                if isinstance(entry, Record) and filename in there and filename not in differing
            ]
        if self._deep:
            self._hash(to_hash)

    def _check_name(
        self, name: str, node: Node | None, tree: Tree, rules: Rules | None
    ) -> _Checked:
        if node is None:
            return _Checked({}, ())
        findings: list[tuple[Kind, str, str]] = []
        entries: Entries = {}
        key = self._subdir.leaf(node.leaf.hex())
        stored = self._channel.state.get(key)
        if stored is None:
            findings.append((Kind.LEAF_DAMAGED, key, "it is not there"))
        elif sha256(stored.body).digest() != node.leaf:
            findings.append((Kind.LEAF_DAMAGED, key, _OTHER_BYTES))
        else:
            leaf = leaves.decode(stored.body, what=key)
            entries = leaf.entries
            inputs = tree.inputs or None
            is_current = inputs is not None and inputs.renderer == render.VERSION
            rendered = render.render(name, entries, at=leaf.at, rules=rules or PLAIN)
            expected = msgspec.structs.replace(rendered.node, leaf=node.leaf)
            if rules is None or not is_current:  # made by other rules; reconcile has it made again
                expected = msgspec.structs.replace(expected, shard=node.shard, special=node.special)
            if expected != node:
                wrong = ", ".join(
                    field
                    for field in Node.__struct_fields__
                    if getattr(expected, field) != getattr(node, field)
                )
                findings.append(
                    (Kind.NODE_WRONG, key, f"the tree says something else of it: {wrong}")
                )
        if node.shard:
            findings += self._check_shard(node.shard)
        return _Checked(entries, findings)

    def _check_shard(self, expected: bytes) -> Iterator[tuple[Kind, str, str]]:
        key = self._subdir.shard(expected.hex())
        stored = self._channel.public.get(key)
        if stored is None:
            yield Kind.SHARD_DAMAGED, key, "it is not there, and the shard index refers to it"
        elif sha256(stored.body).digest() != expected:
            yield Kind.SHARD_DAMAGED, key, _OTHER_BYTES

    def _check_files(self, version: Version[Head], tree: Tree, listing: Listing) -> None:
        """Make every index file, and hold what is there against it."""
        public = HeldAgainst(self._channel.public, self.found)
        private = HeldAgainst(self._channel.state, self.found, since=tree.rejects_generation)
        publisher = _Comparing(public, private, self._channel.owner or "", max_age_seconds=0)
        catalog = CatalogReader(self._channel.state, self._subdir, self._channel.gather)
        try:
            if not any(one.kind in _SPOIL_FILES for one in self.found.findings):
                publisher.publish(self._subdir, version.value, catalog, gather=self._channel.gather)
            elif tree.public:
                self._check_stamps(version, tree, public)
        except Corrupt as error:
            self.found.unchecked.append(f"the index files of {self._subdir.prefix}: {error}")
            return
        if tree.public:
            unwanted = [
                self._subdir.public(file)
                for file in sorted(listing.index_files)
                if self._subdir.public(file) not in public.seen
            ]
            for key, info in zip(
                unwanted, self._channel.gather(self._channel.public.head, unwanted), strict=True
            ):
                if info and Stamp.parse(info.metadata):
                    self.found.add(
                        Kind.FILE_BEHIND, key, "its configuration does not ask for it any more"
                    )

    def _check_stamps(self, version: Version[Head], tree: Tree, public: HeldAgainst) -> None:
        """See at least whose the index files are, where it cannot be told what they should hold."""
        mine = Stamp(tree.generation, version.value.tree or "", self._channel.owner or "")
        for file in outputs(tree, settings_of(tree)):
            public.check_stamp(self._subdir.public(file), stamp_of(file, tree, mine))
        self.found.unchecked.append(
            f"what stands in the index files of {self._subdir.prefix}, which cannot be told while "
            "the catalog is damaged"
        )

    def _hash(self, packages: Sequence[tuple[str, Record]]) -> None:
        self._progress.expect(Step.HASHED, len(packages))
        for some in chunks(packages, _HASHED_AT_ONCE):
            told = self._channel.gather(self._hash_one, some)
            for (filename, _), reason in zip(some, told, strict=True):
                if reason:
                    key = self._subdir.public(filename)
                    name = package_name(filename)
                    self.found.add(Kind.PACKAGE_WRONG, key, reason, name=name)
            self._hashed += len(some)
            self._progress.done(Step.HASHED, len(some))

    def _hash_one(self, package: tuple[str, Record]) -> str | None:
        """What is wrong with a package, if anything."""
        filename, entry = package
        hashes = {"sha256": sha256(), "md5": md5(usedforsecurity=False)}
        size = 0
        try:
            with self._channel.public.open(self._subdir.public(filename)) as opened:
                if opened is None:
                    return None  # removed meanwhile, as LIST did not tell
                for chunk in opened.chunks:
                    size += len(chunk)
                    for one in hashes.values():
                        one.update(chunk)
        except Changed:
            return None
        except Archived:
            return "it is in an archive storage class and cannot be read"
        found = {name: one.hexdigest() for name, one in hashes.items()} | {"size": size}
        wrong = [
            name
            for name, value in found.items()
            if entry.record.get(name) is not None and entry.record[name] != value
        ]
        told = ", ".join(f"{name} is {found[name]}" for name in wrong)
        return f"its {told}, and not what its record says" if wrong else None
