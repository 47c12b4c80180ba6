"""A subdir into which somebody uploads files that cannot be indexed, as many as they like."""

from __future__ import annotations

import pytest

from sluice.merge import generation_writer
from sluice.reconcile import subdir
from tests.support.reconcile_runs import CORRUPT, ReconcileRuns, is_quiet, subdir_reports
from tests.support.staging_records import A, B
from tests.support.subdir_world import World

REJECTS_MAX = 5
REQUEUED_MAX = 3


@pytest.fixture(autouse=True)
def _low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_writer, "REJECTS_PER_SUBDIR_MAX", REJECTS_MAX)
    monkeypatch.setattr(subdir, "REJECTS_PER_SUBDIR_MAX", REJECTS_MAX)
    monkeypatch.setattr(subdir, "REQUEUED_BEYOND_REJECTS_MAX", REQUEUED_MAX)


@pytest.fixture
def runs() -> ReconcileRuns:
    """A channel of one good package and twice as many bad ones as the catalog keeps."""
    world = World()
    world.add(A)
    world.merge()
    world.deliver()
    runs = ReconcileRuns(world)
    for number in range(2 * REJECTS_MAX):
        world.upload(f"bad{number}-1-0.conda", CORRUPT + str(number).encode())
    runs.run()
    runs.handle_requests()
    return runs


def test_the_catalog_keeps_a_bounded_number_of_rejects_and_the_index_its_packages(
    runs: ReconcileRuns,
) -> None:
    assert runs.world.tree().rejects == REJECTS_MAX
    assert runs.world.published().keys() == {A}


def test_a_subdir_full_of_rejects_says_so_and_a_bounded_number_of_its_files_is_read_again(
    runs: ReconcileRuns,
) -> None:
    (report,) = subdir_reports(runs.run())
    assert report.failure is not None
    assert "cannot be indexed" in report.failure
    assert len(runs.requeued_keys()) == REQUEUED_MAX


def test_the_newest_are_read_again_so_that_what_is_uploaded_after_a_flood_comes_first(
    runs: ReconcileRuns,
) -> None:
    world = runs.world
    of_a_known_name, of_another_name = "bad0-2-0.conda", B
    world.upload(of_a_known_name, CORRUPT)
    world.upload(of_another_name)
    runs.run()
    requeued = {key.rpartition("/")[2] for key in runs.requeued_keys()}
    assert {of_a_known_name, of_another_name} < requeued
    assert len(requeued) == REQUEUED_MAX
    runs.handle_requests()
    assert world.published().keys() == {A, B}


def test_the_report_counts_all_files_that_are_not_noted(runs: ReconcileRuns) -> None:
    (report,) = subdir_reports(runs.run())
    assert report.counts.missing == REJECTS_MAX
    assert len(report.examples["missing"]) == REQUEUED_MAX


def test_once_they_are_deleted_the_catalog_is_as_small_as_before(runs: ReconcileRuns) -> None:
    world = runs.world
    for number in range(2 * REJECTS_MAX):
        world.remove(f"bad{number}-1-0.conda")
    runs.run()
    runs.handle_requests()
    assert world.tree().names.keys() == {"alpha"}
    assert is_quiet(runs.run())
