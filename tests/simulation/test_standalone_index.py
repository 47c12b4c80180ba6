"""``sluice index`` killed at any request, and two of them at once: the index comes out right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

import pytest

from sluice.admin.standalone import index as index_module
from sluice.layout import REPODATA, Subdir
from testkit.memory_store import ignore
from testkit.scheduler import Killed, Stage
from tests.support.standalone_channel import CHANNEL, LINUX, NOARCH, StandaloneChannel, package

FIRST = [package(name, version) for name in ("alpha", "beta") for version in ("1", "2")]
PURE = package("pure", subdir="noarch", noarch="generic")
CHANGED = package("beta", "2", timestamp=1_700_000_000_000)
NEW = package("gamma")


def a_first_index() -> StandaloneChannel:
    """Nothing is indexed yet."""
    world = StandaloneChannel()
    world.upload(*FIRST, PURE)
    return world


def a_change_of_everything() -> StandaloneChannel:
    """Of what is indexed some has changed, some is gone, and there is more."""
    world = a_first_index()
    world.index()
    world.upload(CHANGED, NEW)
    world.public.remove(f"{CHANNEL}/{FIRST[0].path}")
    return world


def expected(world: StandaloneChannel, subdir: Subdir) -> dict[str, str]:
    """The ETags of the packages that are there."""
    return {
        key.removeprefix(subdir.prefix): stored.info.etag.strip('"')
        for key, stored in world.public.objects.items()
        if key.startswith(subdir.prefix) and key.endswith(".conda")
    }


def check_at_rest(world: StandaloneChannel) -> None:
    """Clients find exactly the packages that are there."""
    for subdir in (LINUX, NOARCH):
        records = world.published(subdir).records
        found = {filename: record["md5"] for filename, record in records.items()}
        assert found == expected(world, subdir)
    assert world.state.keys("staging/") == []


def killed_everywhere(before: StandaloneChannel) -> Iterator[tuple[StandaloneChannel, int]]:
    """The world after a run was killed, once before and once after each of its requests."""
    for landed in (False, True):
        for fatal in count():
            world = before.copy()
            requests = count()
            dead = False

            def die(_operation: str, _key: str) -> None:
                nonlocal dead
                dead = dead or next(requests) == fatal  # noqa: B023 - called at once
                if dead:
                    raise Killed

            for store in (world.public, world.state):
                store.before, store.after = (ignore, die) if landed else (die, ignore)
            try:
                world.index()
            except Killed:
                pass
            else:
                break
            for store in (world.public, world.state):
                store.before = store.after = ignore
            yield world, fatal


@pytest.mark.parametrize("commit_every", [2, 5000])
@pytest.mark.parametrize("begin", [a_first_index, a_change_of_everything])
def test_whatever_request_it_is_killed_at_the_next_run_completes_it(
    begin: object, commit_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "INDEX_COMMIT_RECORDS_MAX", commit_every)
    assert callable(begin)
    kills = 0
    for world, _ in killed_everywhere(begin()):
        report = world.index()
        assert report.failures == []
        check_at_rest(world)
        kills += 1
    assert kills > 40


def test_what_was_committed_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "INDEX_COMMIT_RECORDS_MAX", 2)
    reads = {world.index().read for world, _ in killed_everywhere(a_first_index())}
    assert {0, 1, 3, 5} <= reads


def test_a_killed_run_never_publishes_less_than_what_was_there() -> None:
    before = a_change_of_everything()
    left = {one.filename for one in FIRST[1:]}
    for world, _ in killed_everywhere(before):
        shown = json.loads(world.public.body(LINUX.file_key(REPODATA)))["packages.conda"]
        assert left <= shown.keys()


@pytest.mark.parametrize("begin", [a_first_index, a_change_of_everything])
def test_two_at_once_come_to_the_same_index(begin: object) -> None:
    assert callable(begin)
    before = begin()
    steps = 0
    for pause in count():
        world = before.copy()
        with Stage(world.public, world.state) as stage:
            first = stage.actor(world.index)
            first.run(pause)
            if first.done:
                break
            second = stage.actor(world.index)
            second.finish()
            first.finish()
        world.index()
        check_at_rest(world)
        steps += 1
    assert steps > 40
