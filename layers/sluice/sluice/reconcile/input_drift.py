"""Whether a subdir was made of the configuration and the patch that there are now."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.catalog import node
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Inputs, PatchInForce, Tree
from sluice.channel_config import DEFAULT, ChannelConfig, fingerprint, from_plain
from sluice.conda.names import NOARCH
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    SLUICE_TOML,
    Subdir,
    channel_file,
    config_key,
)
from sluice.merge.inputs import candidates
from sluice.publish.fence import Stamp
from sluice.reconcile.context import Reconciler
from sluice.reconcile.head_cache import Looks
from sluice.reconcile.reconcile_cache import NoarchPatch
from sluice.storage.object_id import Identity
from sluice.storage.versioned_object import Version, read_newest


@dataclass(frozen=True, slots=True)
class InputsCheck:
    """Compares one subdir."""

    world: Reconciler
    subdir: Subdir
    tree: Tree
    catalog: CatalogReader
    looks: Looks

    def outdated(self) -> list[str]:
        """What is another than the tree says, by name; raises ``Unavailable`` and ``Corrupt``."""
        if not self.tree.public:
            return []
        known = self.tree.inputs
        if not known or known.renderer != node.VERSION:
            return ["shards"]
        if known.config.seen != self._seen() or known.config.defaults != fingerprint(
            self.world.defaults
        ):
            return [SLUICE_TOML]
        name = settings_of(self.tree).patches
        if name is not None and known.patch != self._patch(name, known):
            return [name]
        return []

    def channel_files_behind(self) -> list[str]:
        """The files of the whole channel that are missing or another tool's.

        Looked at in ``noarch``, and only where the configuration asks for them.
        """
        if not self.tree.public or self.subdir.name != NOARCH:
            return []
        settings = settings_of(self.tree)
        wanted = {
            CHANNELDATA: settings.channeldata,
            RSS: settings.rss,
            NOTICES: settings.notices is not None,
            PAGE_DATA: settings.page,
            PAGE: settings.page,
        }
        files = [file for file, is_on in wanted.items() if is_on]
        keys = [channel_file(self.subdir.channel, file) for file in files]
        infos = self.world.gather(self.world.channel.head, keys)
        return [
            file
            for file, info in zip(files, infos, strict=True)
            # A page that somebody has written stays: see ``channelwide.merging``.
            if info is None or (file != PAGE and Stamp.parse(info.metadata) is None)
        ]

    def _seen(self) -> Identity | None:
        key = config_key(self.subdir.channel)
        found = next(iter(self.world.channel.list(key)), None)  # nothing sorts before the key
        return Identity.of(found) if found and found.key == key else None

    def _patch(self, name: str, known: Inputs) -> PatchInForce | None:
        """The patch that should be in force, as far as can be told without reading it."""
        if self.subdir.name != NOARCH:
            return self._as_in_noarch(known.patch)
        entries = self.catalog.entries([self.tree.names.get(name)])[0]
        unusable = {(problem.filename, problem.identity) for problem in known.problems}
        for one in sorted(candidates(entries), reverse=True):
            if (one.filename, one.identity) in unusable:
                continue
            patch = known.patch
            if patch and (patch.package, patch.sha256) == (one.filename, one.sha256):
                return patch
            return PatchInForce(
                package=one.filename, sha256=one.sha256, instructions=None, at=self.tree.at
            )
        return None

    def _as_in_noarch(self, mine: PatchInForce | None) -> PatchInForce | None:
        """The patch of ``noarch``; ``mine``, where it is the same.

        Where what ``noarch`` has published is of a tree that is known to have mine, neither that
        nor its head is read.  A later one that is not published yet is found by the next run.
        """
        known = self.looks.patch_of_noarch
        if known and _is_same(known.patch, mine) and known.tree == self._published_by_noarch():
            return mine
        noarch = Subdir(self.subdir.channel, NOARCH)

        def read(version: Version[Head]) -> tuple[str | None, PatchInForce | None]:
            digest = version.value.tree
            tree = CatalogReader(self.world.state, noarch, self.world.gather).tree(digest)
            return digest, tree.inputs.patch if tree.inputs else None

        digest, theirs = read_newest(head_object(self.world.state, noarch), read)
        if digest:
            self.looks.patch_of_noarch = NoarchPatch(tree=digest, patch=theirs)
        return mine if _is_same(theirs, mine) else theirs

    def _published_by_noarch(self) -> str | None:
        """Digest of the tree that the index of ``noarch`` was rendered from."""
        found = self.looks.noarch_index()
        stamp = Stamp.parse(found.metadata) if found else None
        return stamp.tree if stamp else None


def _is_same(one: PatchInForce | None, other: PatchInForce | None) -> bool:
    """Tell whether two subdirs have one patch; what it says differs from one to the other."""
    if one is None or other is None:
        return one is other
    return (one.package, one.sha256) == (other.package, other.sha256)


def settings_of(tree: Tree) -> ChannelConfig:
    """The configuration in force; raises ``Corrupt``."""
    return from_plain(tree.inputs.config.settings) if tree.inputs else DEFAULT
