"""Checks whether a subdir was made with the current configuration and patch."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.catalog import node
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import ActivePatch, Inputs, Tree
from sluice.channel_config import (
    DEFAULT_CONFIG,
    ChannelConfig,
    config_fingerprint,
    config_from_dict,
)
from sluice.conda.names import NOARCH
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    SLUICE_TOML,
    Subdir,
    channel_file_key,
    config_key,
)
from sluice.merge.inputs import patch_candidates
from sluice.publish.fence import Stamp
from sluice.reconcile.context import ReconcileContext
from sluice.reconcile.head_cache import HeadCache
from sluice.reconcile.reconcile_cache import NoarchPatch
from sluice.storage.object_id import ObjectId
from sluice.storage.versioned_object import ObjectVersion, read_newest


@dataclass(frozen=True, slots=True)
class InputDriftCheck:
    """Compares the inputs of one subdir."""

    ctx: ReconcileContext
    subdir: Subdir
    tree: Tree
    catalog: CatalogReader
    head_cache: HeadCache

    def outdated_inputs(self) -> list[str]:
        """Names of inputs that differ from the tree's; raises ``Unavailable`` and ``Corrupt``."""
        if not self.tree.public:
            return []
        known = self.tree.inputs
        if not known or known.renderer != node.RENDERER_VERSION:
            return ["shards"]
        if (
            known.config.seen != self._config_identity()
            or known.config.defaults != config_fingerprint(self.ctx.defaults)
        ):
            return [SLUICE_TOML]
        name = config_of_tree(self.tree).patches
        if name is not None and known.patch != self._expected_patch(name, known):
            return [name]
        return []

    def stale_channel_files(self) -> list[str]:
        """The files of the whole channel that are missing or another tool's.

        Checked in ``noarch``, and only if the configuration enables them.
        """
        if not self.tree.public or self.subdir.name != NOARCH:
            return []
        settings = config_of_tree(self.tree)
        wanted = {
            CHANNELDATA: settings.channeldata,
            RSS: settings.rss,
            NOTICES: settings.notices is not None,
            PAGE_DATA: settings.page,
            PAGE: settings.page,
        }
        files = [file for file, is_on in wanted.items() if is_on]
        keys = [channel_file_key(self.subdir.channel, file) for file in files]
        infos = self.ctx.executor.map(self.ctx.channel.head, keys)
        return [
            file
            for file, info in zip(files, infos, strict=True)
            # A page that somebody wrote by hand stays: see ``channel_files.merge``.
            if info is None or (file != PAGE and Stamp.parse(info.metadata) is None)
        ]

    def _config_identity(self) -> ObjectId | None:
        key = config_key(self.subdir.channel)
        info = next(iter(self.ctx.channel.list(key)), None)  # nothing sorts before the key
        return ObjectId.from_info(info) if info and info.key == key else None

    def _expected_patch(self, name: str, known: Inputs) -> ActivePatch | None:
        """The patch that should be active, as far as can be seen without reading it."""
        if self.subdir.name != NOARCH:
            return self._expected_from_noarch(known.patch)
        entries = self.catalog.entries([self.tree.names.get(name)])[0]
        unusable = {(problem.filename, problem.identity) for problem in known.problems}
        for candidate in sorted(patch_candidates(entries), reverse=True):
            if (candidate.filename, candidate.identity) in unusable:
                continue
            patch = known.patch
            if patch and (patch.package, patch.sha256) == (candidate.filename, candidate.sha256):
                return patch
            return ActivePatch(
                package=candidate.filename,
                sha256=candidate.sha256,
                instructions=None,
                at=self.tree.at,
            )
        return None

    def _expected_from_noarch(self, ours: ActivePatch | None) -> ActivePatch | None:
        """The patch of ``noarch``; ``ours``, if it is the same.

        If the published files of ``noarch`` are of a tree that is known to have ours, neither that
        tree nor its head is read.  The next run finds a later patch that is not published yet.
        """
        known = self.head_cache.noarch_patch
        if known and _is_same_patch(known.patch, ours) and known.tree == self._noarch_tree():
            return ours
        noarch = Subdir(self.subdir.channel, NOARCH)

        def read(version: ObjectVersion[Head]) -> tuple[str | None, ActivePatch | None]:
            digest = version.value.tree
            tree = CatalogReader(self.ctx.state, noarch, self.ctx.executor).tree(digest)
            return digest, tree.inputs.patch if tree.inputs else None

        digest, current = read_newest(head_object(self.ctx.state, noarch), read)
        if digest:
            self.head_cache.noarch_patch = NoarchPatch(tree=digest, patch=current)
        return ours if _is_same_patch(current, ours) else current

    def _noarch_tree(self) -> str | None:
        """Digest of the tree that the index of ``noarch`` was rendered from."""
        info = self.head_cache.noarch_index()
        stamp = Stamp.parse(info.metadata) if info else None
        return stamp.tree if stamp else None


def _is_same_patch(first: ActivePatch | None, second: ActivePatch | None) -> bool:
    """Whether two subdirs have the same patch; its instructions differ between subdirs."""
    if first is None or second is None:
        return first is second
    return (first.package, first.sha256) == (second.package, second.sha256)


def config_of_tree(tree: Tree) -> ChannelConfig:
    """The active configuration; raises ``Corrupt``."""
    return config_from_dict(tree.inputs.config.settings) if tree.inputs else DEFAULT_CONFIG
