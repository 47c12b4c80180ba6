"""What happens to a channel while it is measured."""

from __future__ import annotations

import pytest

from benchmarks.channel import BURST_PACKAGES, PATCHED_PACKAGES, Change, Changes
from testkit.made_up import packages

SIZE = 2000
THERE = {package.path: package.body for package in packages(SIZE)}


@pytest.fixture(scope="module")
def changes() -> Changes:
    return Changes(SIZE)


def test_an_upload_is_new_each_time_and_of_one_name(changes: Changes) -> None:
    paths = [path for number in range(3) for path in changes.upload(number).put]
    assert len({*paths}) == 3
    assert not THERE.keys() & {*paths}
    assert len({path.rpartition("-99.")[0] for path in paths}) == 1


def test_an_overwrite_puts_other_content_under_a_name_that_is_there(changes: Changes) -> None:
    for number in range(3):
        ((path, body),) = changes.overwrite(number).put.items()
        assert THERE[path] != body


def test_a_removal_is_of_a_package_that_is_there(changes: Changes) -> None:
    change = changes.removal(1)
    (path,) = change.removed
    assert path in THERE
    assert change.expected == {path.rpartition("/")[2]: None}


def test_a_burst_is_of_as_many_new_packages_as_it_says(changes: Changes) -> None:
    change = changes.burst(1)
    assert len(change.put) == BURST_PACKAGES == change.facts["packages"]
    assert not THERE.keys() & change.put.keys()
    assert not changes.burst(2).put.keys() & change.put.keys()
    assert 1 < change.facts["names"] < BURST_PACKAGES


def test_a_patch_is_about_packages_that_are_there(changes: Changes) -> None:
    change = changes.patch(1)
    assert len(change.expected) == PATCHED_PACKAGES
    assert {f"linux-64/{filename}" for filename in change.expected} <= THERE.keys()
    assert changes.patch(2).expected != change.expected


def test_everything_is_every_package(changes: Changes) -> None:
    assert changes.everything().put == THERE


def test_changes_are_the_same_in_every_run(changes: Changes) -> None:
    def some(made: Changes) -> list[Change]:
        return [made.upload(1), made.overwrite(1), made.removal(1), made.burst(1), made.patch(1)]

    assert some(changes) == some(Changes(SIZE))
