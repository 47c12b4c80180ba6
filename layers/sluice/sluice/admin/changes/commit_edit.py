"""Commits that a person asks for: what a merge does to the head, with no staging behind it.

It is a compare-and-swap like any other, so it is safe beside merges that are running: whoever is
first wins, and the other begins again with what there is then.  The objects are looked at after
the head was read, as a merge does, so a package that changes meanwhile is either seen here, or its
staging record is met by a merge that comes later.

A merge is asked for before the head is swapped, by a staging record: then whoever is killed in
between leaves a request too many, and not a generation that nobody publishes.  If that merge is
faster than the swap, it moves the head, and all begins again, this record included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sluice.admin.session.channel import Channel
from sluice.admin.standalone.in_process_queues import HeldRequests
from sluice.catalog.client_view import Rules
from sluice.catalog.commit import (
    Amendment,
    Head,
    HeadVersion,
    head_not_won,
    read_head,
    read_newest,
    swap_head,
    unless_overtaken,
)
from sluice.catalog.entry import NOT_EXTRACTED, Entries
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Tree
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.errors import NotFound, Unavailable
from sluice.extract import staging
from sluice.extract.config_broadcast import Announcer
from sluice.extract.staging import Reconsidered
from sluice.layout import SLUICE_TOML, Subdir
from sluice.limits import MERGE_ATTEMPTS_MAX, NAMES_AT_ONCE
from sluice.merge.apply_staging import Difference, Edits
from sluice.merge.generation_writer import GenerationWriter
from sluice.messages import merge_request
from sluice.takeover.existing_index import Base

T = TypeVar("T")
NO_CHANGES: Mapping[str, Edits] = {}


@dataclass(frozen=True, slots=True)
class Present:
    """A subdir as its head has it."""

    head: Head
    tree: Tree
    catalog: CatalogReader

    def entries(self, *names: str) -> Iterator[tuple[str, Entries]]:
        """What is known of the files of some package names, in their order."""
        for some in chunks(names, NAMES_AT_ONCE):
            found = self.catalog.entries([self.tree.names.get(name) for name in some])
            yield from zip(some, found, strict=True)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person wants of a subdir."""

    edits: Mapping[str, Edits]
    """By package name; only what differs from what is there."""
    amendment: Amendment


Decide = Callable[[Present], Decision]
"""May be asked several times, each time with another head."""


@dataclass(frozen=True, slots=True)
class Amended:
    """The generation that came of it."""

    generation: int
    difference: Difference


def read_present(channel: Channel, subdir: Subdir, use: Callable[[Present], T]) -> T:
    """Read a subdir as its head has it: as much as ``use`` asks of it, whose result is returned.

    ``use`` may be called several times, each time with another head.  Raises ``NotFound`` where
    sluice has never had anything there, ``Unavailable``, ``Corrupt``, and what ``use`` raises.
    """

    def read(version: HeadVersion) -> T:
        if version.head.tree is None:
            raise NotFound(f"sluice knows of no packages in {subdir.prefix}")
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        return use(Present(version.head, catalog.tree(version.head.tree), catalog))

    return read_newest(channel.state, subdir, read)


def amend(channel: Channel, subdir: Subdir, decide: Decide) -> Amended | None:
    """Commit what ``decide`` wants of a subdir; ``None`` where that is what there is.

    Raises ``NotFound`` where sluice has never had anything there, ``WrongState``, ``Unavailable``,
    ``Corrupt``, and what ``decide`` raises.
    """
    catalog = CatalogReader(channel.state, subdir, channel.gather)
    writer = GenerationWriter(channel.public, channel.state, subdir, catalog, channel.gather)
    for _ in range(MERGE_ATTEMPTS_MAX):
        version = read_head(channel.state, subdir)
        if version.head.tree is None:
            raise NotFound(f"sluice knows of no packages in {subdir.prefix}")
        channel.bucket_check.ensure_bound(channel.name)
        with unless_overtaken(channel.state, subdir, version):
            tree = catalog.tree(version.head.tree)
            decision = decide(Present(version.head, tree, catalog))
            if not decision.edits:
                return None
            rules = catalog.rules(tree)
            at = max(channel.clock(), tree.at + 1)
            draft = writer.draft(tree, Base(), {}, at=at, rules=rules, edits=decision.edits)
            draft.wait()
            ask_for_merge(channel, subdir)
            after = writer.commit(
                tree,
                version.head,
                draft,
                Base(),
                public=tree.public,
                writer=channel.unique(),
                amendment=decision.amendment,
            )
            if swap_head(
                channel.state,
                subdir,
                after,
                expected=version.etag,
                not_after_ms=draft.not_after_ms,
            ):
                if touches_patch(subdir, decision.edits, rules):
                    _tell_of_patch(channel, subdir)
                return Amended(after.generation, draft.difference)
    raise Unavailable(f"{head_not_won(subdir)}; try again")


def ask_for_merge(channel: Channel, subdir: Subdir) -> None:
    """Have the next merge of a subdir look at everything, and ask the stack for it."""
    stage_for_merge(channel, subdir)
    send_for_merge(channel, subdir)


def stage_for_merge(channel: Channel, subdir: Subdir) -> None:
    """Have the next merge of a subdir look at everything, configuration and patches included."""
    record = Reconsidered(filename=SLUICE_TOML, extractor=NOT_EXTRACTED, at=channel.clock())
    staging.write(channel.state, subdir, record, unique=channel.unique())


def send_for_merge(channel: Channel, subdir: Subdir) -> None:
    """Ask the stack for a merge, if there is one.

    Not before "now" by no clock: a person's may be wrong by hours.
    """
    if channel.merges:
        merge_request.unwindowed(subdir, now_ms=0, unique=channel.unique()).send_to(channel.merges)


def touches_patch(subdir: Subdir, edits: Mapping[str, Edits], rules: Rules) -> bool:
    """Tell whether another patch may be in force after some edits."""
    return subdir.name == NOARCH and rules.config.patches in edits


def _tell_of_patch(channel: Channel, noarch: Subdir) -> None:
    """Have the other subdirs look at their patch again.

    After the swap, for they look at what ``noarch`` has.  Who is killed in between leaves that to
    reconcile, which compares.
    """
    Announcer(
        state=channel.state,
        # Without a stack, what is staged is found by whoever merges here.
        queue=channel.merges or HeldRequests(),
        gather=channel.gather,
        clock=channel.clock,
        unique=channel.unique,
        debounce_seconds=channel.debounce_seconds or merge_request.DEBOUNCE_SECONDS_MIN,
    ).tell_all(channel.name, but=noarch)
