"""Whatever comparisons find over weeks: most of an index never goes at once, and nothing stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog import brake
from sluice.catalog.brake import (
    BrakeState,
    MissingFile,
    RemovalDecision,
    decide_removals,
    filenames_digest,
)

DAYS = 3
HOUR_MS = 3_600_000
WINDOW_MS = DAYS * 24 * HOUR_MS
FROM_PACKAGES = 4
FILES = [f"package{number}-1-0.conda" for number in range(10)]
some_files = st.sets(st.sampled_from(FILES))


@dataclass(frozen=True)
class Run:
    """One comparison, and what has happened since the one before."""

    hours: int
    deleted: set[str]
    """From the bucket, and no event told of it."""
    uploaded: set[str]
    """And indexed."""
    removed: set[str]
    """From bucket and index, as an event told."""
    confirms: bool
    commits: bool
    """Whether a merge takes what it stages before the next comparison."""


runs = st.lists(
    st.builds(
        Run,
        hours=st.integers(1, 60),
        deleted=some_files,
        uploaded=st.just(set()) | some_files,
        removed=st.just(set()) | some_files,
        confirms=st.integers(0, 9).map(lambda drawn: drawn == 0),
        commits=st.integers(0, 3).map(bool),
    ),
    max_size=12,
)


@dataclass
class Index:
    """An index and its bucket, and a naive memory of what comparisons have removed."""

    now_ms: int = 0
    indexed: set[str] = field(default_factory=lambda: set(FILES))
    bucket: set[str] = field(default_factory=lambda: set(FILES))
    state: BrakeState = field(default_factory=BrakeState)
    uploaded_at: dict[str, int] = field(default_factory=dict)
    """Seconds, of those that were not there from the beginning."""
    missing_since: dict[str, int] = field(default_factory=dict)
    """Since which comparison each file has been missing in all."""
    by_its_word: dict[str, int] = field(default_factory=dict)
    """When a comparison removed a file that had not waited and that nobody had confirmed."""
    shown: int = 0
    """How many packages the index held when the last decision was made."""

    def run(self, run: Run) -> RemovalDecision:
        """Compare, and carry out what is decided."""
        self.now_ms += run.hours * HOUR_MS
        self.bucket = (self.bucket - run.deleted - run.removed) | run.uploaded
        self.indexed = (self.indexed - run.removed) | run.uploaded
        gone = self.indexed - self.bucket
        for file in run.uploaded:  # a second before the comparison, or it would be of that second
            self.uploaded_at[file] = self.now_ms // 1000 - 1
            self.missing_since.pop(file, None)
        self.missing_since = {file: self.missing_since.get(file, self.now_ms) for file in gone}
        self.shown = len(self.indexed)
        decision = decide_removals(
            self.state,
            self.missing(gone),
            self.shown,
            now_ms=self.now_ms,
            days=DAYS,
            confirm=filenames_digest(gone) if run.confirms else None,
        )
        assert decision.confirmed == (run.confirms and bool(gone))
        self.state = decision.state
        for file in decision.to_remove:
            waited = self.now_ms - self.missing_since[file] >= WINDOW_MS
            if not waited and file not in self.state.confirmed:
                self.by_its_word[file] = self.now_ms
        if run.commits:
            self.indexed -= set(decision.to_remove)
        return decision

    def missing(self, gone: set[str]) -> dict[str, MissingFile]:
        """What the catalog knows of files."""
        return {
            file: MissingFile(indexed=True, modified=self.uploaded_at.get(file, -1))
            for file in gone
        }

    def removed_lately(self) -> set[str]:
        """What comparisons have removed by their own word, and is not there again."""
        return {
            file
            for file, at in self.by_its_word.items()
            if self.now_ms - at < WINDOW_MS and file not in self.bucket
        }


def few_are_many() -> mock._patch[int]:
    return mock.patch.object(brake, "BRAKE_PACKAGES_MIN", FROM_PACKAGES)


@given(runs)
def test_no_more_than_half_of_an_index_goes_within_days_by_a_comparisons_word(
    course: list[Run],
) -> None:
    index = Index()
    with few_are_many():
        for run in course:
            before = index.removed_lately()
            decision = index.run(run)
            if not set(decision.to_remove) & index.removed_lately():
                continue
            of = index.shown + len((before & index.removed_lately()) - index.indexed)
            assert of < FROM_PACKAGES or 2 * len(index.removed_lately()) <= of


@given(runs)
def test_what_stays_missing_is_removed_when_its_days_are_over_at_the_latest(
    course: list[Run],
) -> None:
    index = Index()
    with few_are_many():
        for run in course:
            decision = index.run(run)
            overdue = {
                file
                for file, since in index.missing_since.items()
                if index.now_ms - since >= WINDOW_MS
            }
            assert overdue <= set(decision.to_remove)


@given(runs)
def test_a_decision_is_about_what_is_missing_and_is_the_same_when_taken_again(
    course: list[Run],
) -> None:
    index = Index()
    with few_are_many():
        for run in course:
            missing = index.indexed - run.removed | run.uploaded
            missing -= (index.bucket - run.deleted - run.removed) | run.uploaded
            decision = index.run(run)
            waiting = decision.waiting.files if decision.waiting else 0
            assert set(decision.to_remove) <= missing
            assert len(decision.to_remove) + waiting == len(missing)
            again = decide_removals(
                decision.state,
                index.missing(missing),
                index.shown,
                now_ms=index.now_ms,
                days=DAYS,
            )
            assert (again.state, again.to_remove) == (decision.state, decision.to_remove)
