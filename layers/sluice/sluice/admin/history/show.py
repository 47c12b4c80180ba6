"""One generation: what it changed, and what there was then."""

from __future__ import annotations

import msgspec

from sluice.admin.history.generations import GenerationRef, OldGeneration, find_commits
from sluice.admin.session.channel import Channel
from sluice.catalog.commit import Commit
from sluice.catalog.entry import Reject
from sluice.catalog.reader import CatalogReader
from sluice.conda.names import package_name
from sluice.errors import NotFound
from sluice.layout import Subdir


class RejectedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a generation rejected."""

    file: str
    code: str
    sentence: str


class GenerationDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one subdir."""

    subdir: str
    commit: Commit
    packages: int | None
    """That clients saw then; ``None`` where the tree of the generation has been collected."""
    rejects: int | None
    """How many files were rejected then, since whenever; ``None`` as above."""
    rejected: list[RejectedFile]
    """Those that this generation rejected, with the reasons, as far as these are kept."""


def show(channel: Channel, subdir: Subdir, ref: GenerationRef) -> GenerationDetails:
    """Tell of the generation of that number, or of the one that was the newest at a time.

    Raises ``NotFound`` where it is not kept, also where it is collected while it is read,
    ``Unavailable`` and ``Corrupt``.

    >>> details = show(channel, channel.subdir("linux-64"), 1)
    >>> (details.commit.added, details.packages)
    (['alpha-1.0-0.conda'], 1)
    """
    (commit,) = find_commits(channel, subdir, ref)
    catalog = CatalogReader(channel.state, subdir, channel.executor)
    generation = OldGeneration(channel, subdir, commit, catalog)
    try:
        tree = generation.tree()
    except NotFound:
        return GenerationDetails(
            subdir=subdir.name, commit=commit, packages=None, rejects=None, rejected=[]
        )
    return GenerationDetails(
        subdir=subdir.name,
        commit=commit,
        packages=tree.visible_records,
        rejects=sum(node.rejects for node in tree.names.values()),
        rejected=_rejected_files(generation),
    )


def _rejected_files(generation: OldGeneration) -> list[RejectedFile]:
    rejected = generation.commit.rejected
    known = generation.entries(sorted({package_name(file) for file in rejected}))
    entries = {file: known[package_name(file)].get(file) for file in rejected}
    return [
        RejectedFile(file=file, code=entry.code, sentence=entry.sentence)
        for file, entry in entries.items()
        if isinstance(entry, Reject)
    ]
