"""Checks, with each swap of a head, that the catalog describes the connected bucket.

The rule (docs/architecture.md, "A state belongs to its bucket"):

- a channel that is bound to another bucket is not touched;
- a channel without a catalog is bound by its first commit.  A merge that only consumes staging
  does not bind it, because it has seen no object;
- a channel with a catalog and no binding, as sluice 0.1 left it, is bound only to a bucket that
  shows *evidence*: an index file that this state has published, if there is one, and a package
  that is still the very object that the catalog describes.  A copy has the first but not the
  second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sluice.catalog.binding import Binding, binding_object
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import in_order
from sluice.errors import Corrupt, TooNew, Unavailable, WrongState
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX, Subdir, parse_state_key, state_prefix
from sluice.limits import EVIDENCE_PACKAGES_MAX, WRITE_ATTEMPTS_MAX
from sluice.publish.fence import Stamp
from sluice.runtime import Runtime
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ETag
from sluice.storage.versioned_object import LOST, ObjectVersion, read_newest

_STAMPED_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA)


@dataclass(frozen=True, slots=True)
class BucketCheck:
    """Checks the channels of one bucket against one state."""

    runtime: Runtime
    bucket: str
    """Name of the channel bucket."""
    owner: str
    """Name of the state, as in the metadata of its index files."""
    endpoint: str | None = None
    """URL of the bucket's S3 server; stored for people."""
    may_bind: bool = True
    """Whether evidence may be stored as a binding; ``False`` for readers."""

    def ensure_bound(self, channel: str) -> bool:
        """Whether a channel is bound to this bucket; binds it if there is evidence.

        Call it *after* reading the head that will be swapped.  ``sluice rebind`` marks the binding
        first and then moves every head, so a swap that succeeds has seen the active binding.

        ``False``: the channel has no catalog yet, and ``bind`` must come before its first one.

        One GET for a channel that is bound.  Raises ``WrongState`` if the catalog belongs to
        another bucket, or if nothing shows that it belongs to this one; also ``Unavailable``,
        ``Corrupt`` and ``TooNew``.
        """
        if self.check_binding(channel):
            return True
        catalog = self._read_catalog(channel)
        if not catalog:
            return False
        # A concurrent first commit binds before it swaps.  So its head is never visible without its
        # binding, but the files that it will publish may still be missing.
        if self.check_binding(channel):
            return True
        self._require_evidence(channel, catalog)
        if self.may_bind:
            self.bind(channel)
        return True

    def bind(self, channel: str) -> None:
        """Bind a channel that has no binding; raises ``WrongState`` as ``ensure_bound`` does."""
        binding = Binding(
            bucket=self.bucket,
            endpoint=self.endpoint,
            created_at=self.runtime.clock(),
            writer=self.runtime.new_id(),
        )
        versioned = binding_object(self.runtime.state, channel)
        released: ETag | None = None
        for _ in range(WRITE_ATTEMPTS_MAX):
            if versioned.swap(binding, expected=released) is not LOST:
                return
            if self.check_binding(channel):
                return
            current = versioned.read()
            released = current.etag if current.value is None else None
        raise Unavailable(
            f"the binding of {_label(channel)} changed during each of {WRITE_ATTEMPTS_MAX} "
            "attempts to write it"
        )

    def check_binding(self, channel: str) -> bool:
        """Whether there is a binding to this bucket; does not look for evidence.

        Raises ``WrongState`` if the binding is to another bucket, or the catalog is being moved.
        """
        try:
            binding = binding_object(self.runtime.state, channel).read().value
        except TooNew:
            raise
        except Corrupt as error:
            hint = self._rebind_hint(channel)
            raise Corrupt(f"{error}. To write it again, run: {hint}") from error
        if binding is None:
            return False
        if binding.is_retiring:
            raise WrongState(
                f"{_label(channel)} is being retired, so nothing was changed. Try again later. If "
                "the command was interrupted, run it again: sluice retire "
                f"s3://{self.bucket}/{channel}"
            )
        if binding.moving_to:
            came_from = f" from {binding.bucket}" if binding.bucket else ""
            raise WrongState(
                f"the catalog of {_label(channel)} is being moved{came_from} to the bucket "
                f"{binding.moving_to}, so nothing was changed. Try again later. If the command was "
                f"interrupted, run it again for the new bucket: {self._rebind_hint(channel)}"
            )
        if binding.bucket == self.bucket:
            return True
        raise WrongState(
            f"the catalog of {_label(channel)} is bound to the bucket {binding.bucket}, not to "
            f"{self.bucket}, so nothing was changed. Check the names of the bucket and the state. "
            f"If the channel was moved or restored to {self.bucket}, run: "
            f"{self._rebind_hint(channel)}"
        )

    def _rebind_hint(self, channel: str) -> str:
        return (
            f"sluice rebind s3://{self.bucket}/{channel} (with the --state or --stack of the "
            "catalog)"
        )

    def _require_evidence(self, channel: str, catalog: Sequence[tuple[Subdir, Tree]]) -> None:
        """Raise ``WrongState`` if the bucket does not contain what the catalog describes."""
        published = [(subdir, tree) for subdir, tree in catalog if tree.public]
        stamped = [(subdir, tree) for subdir, tree in published if self._shows_our_index(subdir)]
        if stamped or not published:
            has_packages = False
            for subdir, tree in stamped or catalog:
                for is_same in islice(self._compare_packages(subdir, tree), EVIDENCE_PACKAGES_MAX):
                    has_packages = True
                    if is_same:
                        return
            if not has_packages:  # a catalog without packages: there is no other evidence
                return
        raise WrongState(
            f"the catalog of {_label(channel)} is not bound to a bucket, and the objects in "
            f"{self.bucket} do not match it, so nothing was changed. Check the names of the bucket "
            f"and the state. If the channel is in {self.bucket}, run: {self._rebind_hint(channel)}"
        )

    def _read_catalog(self, channel: str) -> list[tuple[Subdir, Tree]]:
        """The trees that are evidence; raises ``Corrupt`` if none of the heads can be read."""
        trees: list[tuple[Subdir, Tree]] = []
        damage: Corrupt | None = None
        for info in self.runtime.state.list(state_prefix("heads", channel)):
            subdir = parse_state_key(info.key)
            if subdir is None:
                continue
            try:
                tree = read_newest(
                    head_object(self.runtime.state, subdir), partial(self._read_tree, subdir)
                )
            except TooNew:
                raise
            except Corrupt as error:  # the other subdirs show which bucket it is
                damage = error
                continue
            if tree.public or tree.names:
                trees.append((subdir, tree))
        if damage and not trees:
            raise damage
        return trees

    def _read_tree(self, subdir: Subdir, version: ObjectVersion[Head]) -> Tree:
        return CatalogReader(self.runtime.state, subdir, in_order).tree(version.value.tree)

    def _shows_our_index(self, subdir: Subdir) -> bool:
        for file in _STAMPED_FILES:
            info = self.runtime.channel.head(subdir.file_key(file))
            stamp = Stamp.parse(info.metadata) if info else None
            if (
                stamp
                and stamp.owner == self.owner
                and self.runtime.state.head(subdir.tree_key(stamp.tree))
            ):
                return True
        return False

    def _compare_packages(self, subdir: Subdir, tree: Tree) -> Iterator[bool]:
        """Whether packages are the objects that the catalog describes, for names spread over it."""
        names = sorted(tree.names)
        step = -(-len(names) // EVIDENCE_PACKAGES_MAX) or 1
        catalog = CatalogReader(self.runtime.state, subdir, in_order)
        for name in names[::step]:
            for filename, entry in catalog.entries([tree.names[name]])[0].items():
                if entry.identity:
                    key = subdir.file_key(filename)
                    # By LIST, which every function may use; nothing sorts before the key itself.
                    info = next(iter(self.runtime.channel.list(key)), None)
                    yield bool(
                        info and info.key == key and ObjectId.from_info(info) == entry.identity
                    )


def _label(channel: str) -> str:
    return f"the channel {channel!r}" if channel else "the channel at the root of the bucket"
