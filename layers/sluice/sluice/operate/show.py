"""One generation: what it changed, and what there was then."""

from __future__ import annotations

import msgspec

from sluice.catalog.commit import Commit, read_head
from sluice.catalog.leaf import Reject
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.keys import Subdir, package_name
from sluice.operate import past
from sluice.operate.channel import Channel
from sluice.operate.past import Moment


class RejectedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a generation rejected."""

    file: str
    code: str
    sentence: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one subdir."""

    subdir: str
    commit: Commit
    packages: int | None
    """That clients saw then; ``None`` where the tree of the generation has been collected."""
    rejects: int | None
    """How many files were rejected then, since whenever; ``None`` as above."""
    rejected: list[RejectedFile]
    """Those that this generation rejected, with the reasons, as far as these are kept."""


def show(channel: Channel, subdir: Subdir, moment: Moment) -> Shown:
    """Tell of the generation of that number, or of the one that was the newest at a time.

    Raises ``NotFound`` where it is not kept, ``Unavailable`` and ``Corrupt``.

    >>> found = show(channel, channel.subdir("linux-64"), 1)
    >>> (found.commit.added, found.packages)
    (['alpha-1.0-0.conda'], 1)
    """
    head = read_head(channel.state, subdir).head
    commit = past.find(channel, subdir, head, moment)
    catalog = CatalogReader(channel.state, subdir, channel.gather)
    tree = catalog.find_tree(commit.tree)
    return Shown(
        subdir=subdir.name,
        commit=commit,
        packages=tree.shown if tree else None,
        rejects=sum(node.rejects for node in tree.names.values()) if tree else None,
        rejected=_reasons(catalog, tree, commit) if tree else [],
    )


def _reasons(catalog: CatalogReader, tree: Tree, commit: Commit) -> list[RejectedFile]:
    names = sorted({package_name(file) for file in commit.rejected})
    known = dict(zip(names, catalog.entries(map(tree.names.get, names)), strict=True))
    entries = {file: known[package_name(file)].get(file) for file in commit.rejected}
    return [
        RejectedFile(file=file, code=entry.code, sentence=entry.sentence)
        for file, entry in entries.items()
        if isinstance(entry, Reject)
    ]
