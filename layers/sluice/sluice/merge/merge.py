"""Merge: from the staging log of one subdir to a commit, and from the commit to published files.

The FIFO group usually runs one merge of a subdir at a time, but that is not a lock: two at once
are right as well, and so is a merge that is killed between any two requests.  What makes it so
is the order of the steps (design, section 8):

1. read the head, *then* check that the catalog belongs to this bucket (``bucket_check``), list
   staging and look at the objects;
2. write everything immutable, then swap the head against the version read in 1.  A merge that
   changes nothing but consumed staging swaps it too, so that an older merge, still running with
   what it saw before, cannot commit after that staging is gone;
3. publish, behind the fence;
4. only then delete the staging records that were read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec
from msgspec import UnsetType

from sluice.catalog.brake import Waiting, digest_of
from sluice.catalog.client_view import Rules
from sluice.catalog.commit import (
    BEFORE_FIRST,
    Head,
    HeadVersion,
    head_not_won,
    read_head,
    swap_head,
    unless_overtaken,
)
from sluice.catalog.entry import Entries
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Inputs, Problem, Tree
from sluice.channel_files.note import due
from sluice.concurrency import Started, chunks
from sluice.conda.names import NOARCH, package_name
from sluice.errors import Unavailable
from sluice.extract import staging
from sluice.extract.staging import AboutFile, Indexed, Reconsidered
from sluice.limits import MERGE_ATTEMPTS_MAX, MERGE_TIME_RESERVE_MS, NAMES_AT_ONCE
from sluice.merge import apply_staging
from sluice.merge.apply_staging import Difference, News
from sluice.merge.context import Merger
from sluice.merge.generation_writer import GenerationWriter
from sluice.merge.inputs import Chooser, Chosen, to_render_again
from sluice.merge.object_lookup import Observation
from sluice.messages.merge_request import CLOCK_SKEW_SECONDS, MergeRequest
from sluice.publish.prefetch import Ahead
from sluice.publish.publication import Publication
from sluice.takeover.existing_index import Base, read_base, unpatch


@dataclass(slots=True)
class MergeReport:
    """What one merge did, for logs and metrics."""

    generation: int = 0
    staged: int = 0
    """Staging records that were read."""
    difference: Difference = field(default_factory=Difference)
    """Of all commits of this run together."""
    problems: list[Problem] = field(default_factory=list)
    """What was found of configuration and patches that cannot be used, and was not known."""
    lags_ms: list[int] = field(default_factory=list)
    """Commit time - upload time of each package that came into the index."""
    taken_over: int = 0
    """Records that came from the index that was there before sluice."""
    left_out: int = 0
    """Records of that index that cannot be published; reconcile has their files read."""
    waiting: Waiting | None = None
    """Of the records taken over, those whose files are gone."""
    set_aside: int = 0
    too_new: int = 0
    files_written: int = 0
    foreign_overwritten: int = 0
    unfinished: bool = False
    """Time ran short; another merge was asked for."""


def merge(
    world: Merger,
    request: MergeRequest,
    *,
    time_left_ms: Callable[[], int],
    publish: bool = True,
) -> MergeReport:
    """Fold everything staged for a subdir into its catalog and publish the result.

    Without ``publish`` the files stay behind the head until another merge brings them up to it:
    for whoever knows that there is more to come, and sees to that merge.

    Raises ``Unavailable``, ``Corrupt``, ``TooNew``, ``ForeignOwner`` and ``WrongState``; whatever
    was staged then still is.
    """
    run = _Run(world, request, publishes=publish)
    after: str | None = None
    consumed: list[str] = []
    while True:
        batch = run.merge_batch(after)
        consumed += batch.consumed
        after = batch.resume_after
        if after is None:
            break
        # Without progress another merge would only find the same and ask again, for ever.
        if time_left_ms() < MERGE_TIME_RESERVE_MS and consumed:
            run.report.unfinished = True
            break
    if consumed or not run.is_published():
        run.hand_on()
    if consumed:
        world.state.delete(consumed)
    if run.report.unfinished:
        # Last: a merge that fails before comes back itself, and must not have multiplied.
        world.follow_ups(request.subdir).the_rest()
    return run.report


class _Run:
    """One merge of one subdir."""

    def __init__(self, world: Merger, request: MergeRequest, *, publishes: bool) -> None:
        self._world = world
        self._request = request
        self._publishes = publishes
        self._subdir = subdir = request.subdir
        self._catalog = CatalogReader(world.state, subdir, world.gather)
        self._writer = GenerationWriter(
            world.channel, world.state, subdir, self._catalog, world.gather
        )
        self._began_ms = world.clock()
        self._version = BEFORE_FIRST
        self._base_taken = False
        self._patch_touched = False
        self._names: set[str] = set()
        """What may have changed, also by a merge before that was killed: its staging is here."""
        self._everything = False
        self._ahead: Ahead | None = None
        """First looks at the published files."""
        self._publication: Publication | None = None
        """Of the last generation that was to be committed, if it was begun with."""
        self._reconsidered = False
        self.report = MergeReport()

    def merge_batch(self, after: str | None) -> staging.Batch:
        """Commit one batch of the log, starting over whenever another merge won the head.

        So does a merge that has slept for too long, see ``swap_head``.
        """
        gather = self._world.gather
        bucket_check = self._world.bucket_check
        for _ in range(MERGE_ATTEMPTS_MAX):
            kept = self._world.remembered.take_head(self._subdir)
            version = kept or read_head(self._world.state, self._subdir)
            with unless_overtaken(self._world.state, self._subdir, version):
                bound = gather.start(partial(bucket_check.ensure_bound, self._subdir.channel))
                tree = self._begin_tree(version.head.tree)
                # Objects are looked at after the head was read, however often that is.
                observation = Observation(self._world.channel, self._subdir, gather)
                batch = staging.read_batch(
                    self._world.state,
                    self._subdir,
                    gather=gather,
                    after=after,
                    records_max=self._world.batch_records,
                    on_listed=lambda filenames: self._read_ahead(tree(), observation, filenames),  # noqa: B023 - called at once
                )
                is_bound = bound()
                swapped = self._commit_batch(version, tree(), batch, observation, is_bound=is_bound)
                if swapped is not None:
                    self._version = swapped
                    self.report.generation = swapped.head.generation
                    self._take_stock(batch)
                    return batch
        raise Unavailable(head_not_won(self._subdir))

    def _begin_tree(self, digest: str | None) -> Started[Tree]:
        known = self._world.remembered.tree(self._subdir, digest) if digest else None
        if digest and known:
            self._catalog.remember_tree(digest, known)
        return self._world.gather.start(partial(self._catalog.tree, digest))

    def _read_ahead(
        self, parent: Tree, observation: Observation, filenames: Collection[str]
    ) -> None:
        """Begin with all reading that a batch about these files will need."""
        observation.begin(filenames, files=parent.files)
        self._writer.read_ahead(parent, filenames)
        if self._publishes and self._ahead is None and parent.public and filenames:
            config = self._catalog.rules(parent).config
            self._ahead = self._world.publisher.look_ahead(
                self._subdir, parent, config, self._world.gather
            )

    def is_published(self) -> bool:
        """Tell whether a merge that began after this one was asked for has seen to all files.

        Whoever asks may have seen one that was behind, lost, or overwritten by another tool.
        """
        asks_more = self._request.create or self._request.adopt
        digest = self._head.tree
        # A request is made before it is due; two clocks may disagree about that.
        asked_ms = self._request.not_before + CLOCK_SKEW_SECONDS * 1000
        return (
            not asks_more
            and digest is not None
            and self._world.remembered.has_published(self._subdir, digest, since_ms=asked_ms)
        )

    def hand_on(self) -> None:
        """Tell others of what is committed, and publish it.

        Where a later commit has come first, and what it took the place of was collected: what that
        one has made of it.
        """
        for _ in range(MERGE_ATTEMPTS_MAX):
            with unless_overtaken(self._world.state, self._subdir, self._version):
                self._tell_the_channel()
                if self._publishes:
                    self._publish()
                else:
                    self._remember()
                return
            self._version = read_head(self._world.state, self._subdir)
        raise Unavailable(
            f"{self._subdir.prefix} could not be published in {MERGE_ATTEMPTS_MAX} tries: each "
            "time later commits came first"
        )

    @property
    def _head(self) -> Head:
        """What was committed last."""
        return self._version.head

    def _tell_the_channel(self) -> None:
        """Tell the other subdirs of a patch that came or went, and the channel of what changed."""
        if self._patch_touched:
            self._world.announcer.tell_all(self._subdir.channel, but=self._subdir)
        tree = self._catalog.tree(self._head.tree)
        rules = self._catalog.rules(tree)
        if not tree.public or not (self._names or self._reconsidered):
            return
        if due(rules.config, reconsidered=self._reconsidered):
            self._world.notepad.write(
                self._subdir,
                self._head.generation,
                self._entries_of(tree, sorted(tree.names if self._everything else self._names)),
                rules,
                everything=self._everything,
            )

    def _entries_of(self, tree: Tree, names: Sequence[str]) -> Iterator[tuple[str, Entries]]:
        for some in chunks(names, NAMES_AT_ONCE):
            entries = self._catalog.entries([tree.names.get(name) for name in some])
            yield from zip(some, entries, strict=True)

    def _publish(self) -> None:
        """Bring the published files up to the head of the last batch."""
        digest = self._head.tree
        if digest is None:
            return
        if self._publication is None or self._publication.digest != digest:
            self._publication = self._begin_publication(digest)
        done = self._publication.publish(tidy=self._reconsidered)
        self._remember()
        self._world.remembered.keep_published(self._subdir, digest, began_ms=self._began_ms)
        self.report.files_written += done.files_written
        self.report.foreign_overwritten += done.foreign_overwritten

    def _begin_publication(self, digest: str) -> Publication:
        publisher = replace(self._world.publisher, adopt=self._request.adopt)
        return publisher.begin(
            self._subdir, digest, self._catalog, ahead=self._ahead, gather=self._world.gather
        )

    def _render_ahead(self, digest: str) -> None:
        """Begin to render what a head is still to be won for."""
        self._publication = self._begin_publication(digest)
        self._publication.render_ahead()

    def _remember(self) -> None:
        """Spare the next merge reading the tree."""
        if self._head.tree:
            tree = self._catalog.tree(self._head.tree)
            self._world.remembered.keep_tree(self._subdir, self._head.tree, tree)

    def _take_stock(self, batch: staging.Batch) -> None:
        staging.set_aside(self._world.state, self._subdir, batch.unreadable)
        self.report.staged += len(batch.consumed)
        self.report.set_aside += len(batch.unreadable)
        self.report.too_new += batch.too_new

    def _commit_batch(
        self,
        version: HeadVersion,
        parent: Tree,
        batch: staging.Batch,
        observation: Observation,
        *,
        is_bound: bool,
    ) -> HeadVersion | None:
        """Swap the head to what the batch makes of it; ``None`` where another merge won."""
        head = version.head
        about = [record for record in batch.records if not isinstance(record, Reconsidered)]
        news = apply_staging.settle(about, observation.of(record.filename for record in about))
        found = self._find_base(parent, news, is_bound=is_bound)
        goes_public, base = found is not None, found or Base()
        at = max(self._world.clock(), parent.at + 1)
        before = self._catalog.rules(parent)
        touched = self._touches_patch(about, before)
        chosen = None
        if goes_public or (parent.public and (touched or not parent.inputs or _asks(batch))):
            chosen = self._choose(parent, news, at=at)
            # It may be the configuration that makes it a patch.
            touched |= self._touches_patch(about, chosen.rules)
        anew: AbstractSet[str] = frozenset()
        if goes_public and parent.public:
            # What its tree refers to may have been garbage to whom it is taken back from.
            anew = parent.names.keys()
        elif chosen and parent.public:
            anew = to_render_again(parent, before, chosen)
        rules = chosen.rules if chosen else before
        if rules.instructions:
            base = unpatch(base, self._world.channel, self._subdir)
        draft = self._writer.draft(parent, base, news, at=at, rules=rules, anew=anew)
        if chosen and _problems(chosen.inputs) != _problems(parent.inputs):
            draft.difference.rejects_changed = True
        unique = self._world.unique()
        if draft.nodes or goes_public or (chosen and chosen.inputs != parent.inputs):
            self._bind(is_bound=is_bound)
            if found is not None:
                self._world.follow_ups(self._subdir).of_going_public(
                    rules.config, with_names=bool(base.names)
                )
            public = parent.public or goes_public
            # Where more is to come, that generation will not be published.
            lone = self._ahead is not None and batch.resume_after is None
            after = self._writer.commit(
                parent,
                head,
                draft,
                base,
                public=public,
                writer=unique,
                chosen=chosen,
                on_begun=self._render_ahead if lone else None,
            )
        elif batch.records:
            after = msgspec.structs.replace(head, epoch=head.epoch + 1, writer=unique)
        else:
            return version
        swapped = self._swap(version, after, not_after_ms=draft.not_after_ms)
        if swapped is not None:
            self._base_taken |= goes_public
            self._patch_touched |= touched
            self._reconsidered |= chosen is not None and parent.public
            self._everything |= chosen is not None
            self._names |= draft.nodes.keys()
            self._names |= {package_name(record.filename) for record in about}
            self.report.lags_ms += draft.lags_ms
            self.report.difference.extend(draft.difference)
            self.report.problems += _new_problems(parent, chosen)
            self.report.taken_over += draft.taken_over
            self.report.left_out += base.records - draft.taken_over
            self.report.waiting = _waiting(base, at=at) or self.report.waiting
        return swapped

    def _bind(self, *, is_bound: bool) -> None:
        """Have the channel belong to this bucket before its first tree can be seen."""
        if not is_bound:
            self._world.bucket_check.bind(self._subdir.channel)

    def _swap(self, version: HeadVersion, after: Head, *, not_after_ms: int) -> HeadVersion | None:
        """Swap the head; ``None``: begin again.  ``not_after_ms``: see ``Draft``.

        A head that does not exist yet is created empty, and the bucket is checked once more.  Else
        a first commit could slip past ``sluice rebind``, which moves the heads that there are.
        """
        state, subdir, expected = self._world.state, self._subdir, version.etag
        if after.tree == version.head.tree:  # it refers to nothing that the head before does not
            return swap_head(state, subdir, after, expected=expected, not_after_ms=None)
        if expected is None:
            empty = msgspec.structs.replace(BEFORE_FIRST.head, writer=self._world.unique())
            created = swap_head(state, subdir, empty, expected=None, not_after_ms=None)
            if created is None:
                return None
            self._world.bucket_check.ensure_bound(subdir.channel)
            expected = created.etag
        return swap_head(state, subdir, after, expected=expected, not_after_ms=not_after_ms)

    def _find_base(self, parent: Tree, news: News, *, is_bound: bool) -> Base | None:
        """What a subdir that goes public now, or is taken back, begins with.

        ``None``: it stays as it is.
        """
        if parent.public:
            # Once per merge: the files stay another's until all batches are committed.
            if (
                self._base_taken
                or not self._request.adopt
                or not self._world.publisher.belongs_to_another(self._subdir)
            ):
                return None
            return self._read_base()
        # Who asks to create has bound the channel before.  What is left of a first commit that was
        # killed must not bind it to whatever bucket the parameters lead to by now.
        certain = (self._request.create and is_bound) or _has_package(news)
        if not certain and not self._request.adopt:
            return None
        base = self._read_base()
        # Adopting creates nothing where there is nothing to adopt.
        return base if certain or base.generation or base.records else None

    def _read_base(self) -> Base:
        world = self._world
        return read_base(world.channel, self._subdir, world.gather, world.brake_days)

    def _choose(self, parent: Tree, news: News, *, at: int) -> Chosen:
        """Look at configuration and patches."""
        chooser = Chooser(
            self._world.channel,
            self._world.state,
            self._subdir,
            self._catalog,
            self._world.gather,
            self._world.defaults,
        )
        return chooser.choose(parent, partial(self._entries_after, parent, news, at), at=at)

    def _entries_after(self, parent: Tree, news: News, at: int, name: str) -> Entries:
        """What the catalog will hold of a package once ``news`` is committed."""
        known = self._catalog.entries([parent.names.get(name)])[0]
        of_name = {file: verdict for file, verdict in news.items() if package_name(file) == name}
        return apply_staging.apply(known, of_name, at=at)

    def _touches_patch(self, about: Iterable[AboutFile], rules: Rules) -> bool:
        name = rules.config.patches
        return (
            name is not None
            and self._subdir.name == NOARCH
            and any(package_name(record.filename) == name for record in about)
        )


def _waiting(base: Base, *, at: int) -> Waiting | None:
    if not base.absent:
        return None
    return Waiting(
        files=len(base.absent),
        packages=len(base.absent),
        of=base.records,
        digest=digest_of(base.absent),
        since=at,
        until=None,
    )


def _asks(batch: staging.Batch) -> bool:
    return any(isinstance(record, Reconsidered) for record in batch.records)


def _problems(inputs: Inputs | UnsetType) -> list[Problem]:
    return inputs.problems if inputs else []


def _new_problems(parent: Tree, chosen: Chosen | None) -> list[Problem]:
    known = _problems(parent.inputs)
    return [one for one in _problems(chosen.inputs) if one not in known] if chosen else []


def _has_package(news: News) -> bool:
    return any(isinstance(verdict, Indexed) for verdict in news.values())
