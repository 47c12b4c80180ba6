"""Whatever happens over weeks: nothing goes that anybody may ask for, and all else goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from sluice.layout import SHARD_INDEX
from sluice.limits import PACKED_LEAVES_MIN
from sluice.merge import leaf_writer
from testkit.memory_store import ignore
from tests.support.garbage import (
    DAY,
    collect_garbage,
    immutable,
    index_with_another_tool,
    published_at,
    reachable,
)
from tests.support.request_hooks import ProcessKilled, at_request, kill_process
from tests.support.staging_records import A2, SUBDIR, A, B, C
from tests.support.staging_records import removed as removal
from tests.support.subdir_world import World, unzstd

RETENTION_DAYS = 2
FILES = [A, A2, B, C]


@dataclass(frozen=True)
class Step:
    """Something that happens: a method of ``History``."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Held:
    """Something that was published, and what its readers may ask for."""

    keys: set[str]
    superseded: int | None = None
    """ms."""


@dataclass
class History:
    """Weeks in the life of a subdir, and a naive memory of all that was ever there for readers."""

    world: World = field(default_factory=lambda: World(page_size=4))
    generations: dict[str, Held] = field(default_factory=dict)
    """Every head that there ever was, by its tree."""
    indexes: list[tuple[bytes, Held]] = field(default_factory=list)
    """Every shard index that there ever was, by its bytes, sluice's and others'."""

    # --- what may happen ------------------------------------------------------------------

    def upload(self, filename: str, content: int) -> None:
        """Somebody uploads or overwrites a package; content 0 cannot be indexed."""
        if content:
            self.world.add(filename, b"%d" % content)
        else:
            self.world.add_corrupt(filename)

    def delete(self, filename: str) -> None:
        """Somebody deletes a package, or tries to."""
        self.world.channel.objects.pop(SUBDIR.file_key(filename), None)
        self.world.stage(removal(filename, at=self.world.now_ms))

    def merge(self) -> None:
        """A merge goes well."""
        self.world.merge()

    def merge_killed(self, request: int, *, after: bool) -> None:
        """A merge ends at some request: it may have written garbage, it may not have published."""
        self._interrupt(request, kill_process, after=after)
        with suppress(ProcessKilled):
            self.world.merge()

    def merge_overtaken(self, filename: str, content: int) -> None:
        """A merge loses the head to another, and begins again."""

        def overtake() -> None:
            self.upload(filename, content)
            self.world.merge()
            self.remember()

        self.world.state.before = at_request("PutObject", SUBDIR.head_key, overtake)
        self.world.merge()

    def index_elsewise(self) -> None:
        """Somebody runs another tool, which writes no shard that is there already."""
        index_with_another_tool(self.world)

    def collect(self) -> None:
        """A collection goes well, after a dry run has told what it would do."""
        told = collect_garbage(self.world, retention_days=RETENTION_DAYS, dry_run=True)
        self.world.now_ms -= 1000
        done = collect_garbage(self.world, retention_days=RETENTION_DAYS)
        assert done == told

    def collect_killed(self, request: int, *, after: bool) -> None:
        """A collection ends at some request."""
        self._interrupt(request, kill_process, after=after)
        with suppress(ProcessKilled):
            collect_garbage(self.world, retention_days=RETENTION_DAYS)

    def collect_held_up(self, request: int, hours: int, meanwhile: list[Step]) -> None:
        """A collection stops at some request while other things go on, and then goes on itself."""

        def happen() -> None:
            self.wait(hours)
            for step in meanwhile:
                self.play(step)

        self._interrupt(request, happen, after=False)
        collect_garbage(self.world, retention_days=RETENTION_DAYS)

    def days(self, contents: list[tuple[str, int]]) -> None:
        """On each day a package, a merge and a collection."""
        for filename, content in contents:
            self.upload(filename, content)
            self.world.merge()
            self.remember()
            self.collect()
            self.check()
            self.wait(24)

    def wait(self, hours: int) -> None:
        """Nothing happens for a while."""
        self.world.tick(hours * 3600)

    # --- how it happens -------------------------------------------------------------------

    def play(self, step: Step) -> None:
        """Let a step happen, and look around."""
        getattr(self, step.name)(*step.args, **step.kwargs)
        for store in (self.world.state, self.world.channel):
            store.before = store.after = ignore
        self.remember()
        self.check()

    def _interrupt(self, request: int, happen: Callable[[], None], *, after: bool) -> None:
        stores = (self.world.state, self.world.channel)
        left = request

        def hook(_operation: str, _key: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                for store in stores:
                    store.before = store.after = ignore
                happen()

        for store in stores:
            store.before, store.after = (ignore, hook) if after else (hook, ignore)

    # --- what must be true ----------------------------------------------------------------

    def remember(self) -> None:
        """Note what is there for readers now, and what is not any more."""
        head = self.world.head()
        if head.tree and head.tree not in self.generations:
            keys = reachable(self.world, tree=head.tree, commit=head.commit)
            self.generations[head.tree] = Held(keys)
        if published_at(self.world, head) is not None:
            for tree, held in self.generations.items():
                if tree != head.tree and held.superseded is None:
                    held.superseded = self.world.now_ms
        stored = self.world.channel.objects.get(SUBDIR.file_key(SHARD_INDEX))
        if stored and (not self.indexes or self.indexes[-1][0] != stored.body):
            if self.indexes:
                self.indexes[-1][1].superseded = self.world.now_ms
            shards: dict[str, bytes] = msgpack.unpackb(unzstd(stored.body))["shards"]
            keys = {SUBDIR.shard_key(digest.hex()) for digest in shards.values()}
            self.indexes.append((stored.body, Held(keys)))

    def check(self) -> None:
        """All that somebody may ask for is there."""
        there = immutable(self.world)
        for held in (*self.generations.values(), *(held for _, held in self.indexes)):
            retained = self.world.now_ms - RETENTION_DAYS * DAY * 1000
            if held.superseded is None or held.superseded > retained:
                assert held.keys <= there

    def end(self) -> None:
        """Nothing happens any more but what happens by itself: all else is gone then."""
        self.play(Step("merge"))
        for _ in range(4):
            self.wait(24 * (RETENTION_DAYS + 1))
            self.play(Step("collect"))
        head = self.world.head()
        there = immutable(self.world)
        live = reachable(self.world, tree=head.tree, commit=head.commit) if head.tree else set()
        if head.tree and self.world.tree().public:
            self.world.published()
            assert there == live
        else:
            theirs = (SUBDIR.shards, SUBDIR.taken_over_indexes)
            assert not any(folder.digest_of(key) for key in live for folder in theirs)
            assert {k for k in there if not any(folder.digest_of(k) for folder in theirs)} == live
        count = len(self.world.state.requests)
        collect_garbage(self.world, retention_days=RETENTION_DAYS)
        assert len(self.world.state.requests) == count + 1 + (head.tree is not None)


FILENAMES = st.sampled_from(FILES)
CONTENTS = st.integers(0, 3)
REQUESTS = st.integers(0, 40)
HOURS = st.sampled_from([1, 12, 25, 49, 80])
DAYS = st.lists(st.tuples(FILENAMES, CONTENTS), min_size=1, max_size=5)


def step(
    name: str, *args: st.SearchStrategy[Any], **kwargs: st.SearchStrategy[Any]
) -> st.SearchStrategy[Step]:
    """A method of ``History`` with arguments."""
    return st.builds(Step, st.just(name), st.tuples(*args), st.fixed_dictionaries(kwargs))


OTHERS = st.one_of(
    step("upload", FILENAMES, CONTENTS),
    step("delete", FILENAMES),
    step("merge"),
    step("merge_killed", REQUESTS, after=st.booleans()),
    step("merge_overtaken", FILENAMES, CONTENTS),
    step("wait", HOURS),
)
# Not in the middle of a collection: one that looks whether a shard is there, and names it in an
# index after that shard was found to be garbage, cannot be kept from doing so.
ANOTHER_TOOL = step("index_elsewise")
COLLECTIONS = st.one_of(
    step("collect"), step("collect_killed", st.integers(0, 25), after=st.booleans())
)
HELD_UP = step(
    "collect_held_up",
    st.integers(0, 25),
    HOURS,
    st.lists(st.one_of(OTHERS, COLLECTIONS), max_size=6),
)


STEPS = st.one_of(OTHERS, OTHERS, ANOTHER_TOOL, COLLECTIONS, HELD_UP, step("days", DAYS))


@given(st.lists(STEPS, max_size=30), st.sampled_from([1, 2, PACKED_LEAVES_MIN]))
def test_nothing_goes_that_anybody_may_ask_for_and_all_else_goes_in_the_end(
    steps: list[Step], packed_from: int
) -> None:
    history = History()
    with mock.patch.object(leaf_writer, "PACKED_LEAVES_MIN", packed_from):
        for happening in steps:
            history.play(happening)
        history.end()
