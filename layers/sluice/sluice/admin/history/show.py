"""One generation: its changes, and its content."""

from __future__ import annotations

import msgspec

from sluice.admin.history.generations import GenerationRef, OldGeneration, find_commits
from sluice.admin.session.channel import Channel
from sluice.catalog.commit import Commit
from sluice.catalog.entry import Reject, is_left_out
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
    """The details of one generation of one subdir."""

    subdir: str
    commit: Commit
    packages: int | None
    """Packages that clients saw then; ``None`` if the tree of the generation was collected."""
    rejects: int | None
    """Number of rejected files then, old ones included; ``None`` as above."""
    rejected: list[RejectedFile]
    """Files that this generation rejected, with the reasons, as far as these are kept."""


def show(channel: Channel, subdir: Subdir, ref: GenerationRef) -> GenerationDetails:
    """The details of a generation, by its number or by a time at which it was the newest.

    Raises ``NotFound`` if it is not kept, also if it is collected during the read, ``Unavailable``
    and ``Corrupt``.

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
        if isinstance(entry, Reject) and not is_left_out(entry)
    ]
