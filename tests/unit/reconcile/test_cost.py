"""What a reconcile costs where there is nothing to repair, or little."""

from __future__ import annotations

from collections import Counter
from functools import cache

from sluice.keys import NOARCH, Subdir
from sluice.limits import NAMES_AT_ONCE
from sluice.reconcile.run import Request
from tests.support.repairs import Repairs, is_quiet
from tests.support.staged import World

PACKAGES = 10_000
VERSIONS_PER_NAME = 4
LIST = "ListObjectsV2"


@cache
def large() -> World:
    """A published subdir of 10,000 packages, reconciled once; its only change is a new mark."""
    world = World(subdir=Subdir("team", NOARCH))
    world.add_corrupt("bad-1-0.conda")
    for number in range(PACKAGES - 1):
        name, version = divmod(number, VERSIONS_PER_NAME)
        world.add(f"package{name}-{version}-0.conda")
    world.merge()
    assert is_quiet(Repairs(world).run())
    return world


def requests(world: World) -> tuple[Counter[str], Counter[str]]:
    """Count the requests since the last time, to the channel bucket and the state bucket."""
    counted = []
    for store in (world.channel, world.state):
        counted.append(Counter(operation for operation, _ in store.operations()))
        store.requests.clear()
    return counted[0], counted[1]


def test_an_unchanged_subdir_of_10_000_packages_costs_its_pages_and_eight_requests() -> None:
    world = large()
    requests(world)
    assert is_quiet(Repairs(world).run())
    channel, state = requests(world)
    # Ten pages of packages, of which shards in between cut one in two; the configuration.
    pages = channel.pop(LIST)
    assert pages <= PACKAGES // 1000 + 3
    # Index files; document of rejects; head, tree, marks; the report.
    assert channel == {"HeadObject": 3}
    # heads/, staging/ of all and of the one are a page each.
    assert state == {"HeadObject": 1, "GetObject": 3, "PutObject": 1, LIST: 3}
    assert channel.total() + state.total() - state[LIST] <= 8


def test_every_file_that_a_configuration_adds_costs_one_request_more() -> None:
    world = World(subdir=Subdir("team", NOARCH))
    world.add("alpha-1.0-0.conda")
    world.merge()
    assert is_quiet(Repairs(world).run())
    requests(world)
    assert is_quiet(Repairs(world).run())
    plain = sum(requests(world), Counter())
    world.configure("[sluice]\nrun-exports = true\nrepodata-bz2 = true\n")
    world.merge()
    assert is_quiet(Repairs(world).run())
    requests(world)
    assert is_quiet(Repairs(world).run())
    assert sum(requests(world), Counter()) == plain + Counter(HeadObject=3)


def test_one_subdir_asked_for_by_name_costs_no_more() -> None:
    world = large()
    requests(world)
    assert is_quiet(Repairs(world).run(Request(channel="team", subdir=NOARCH)))
    channel, state = requests(world)
    assert channel == {"HeadObject": 3, LIST: PACKAGES // 1000 + 2}
    assert state == {"HeadObject": 1, "GetObject": 3, "PutObject": 1, LIST: 1}


def test_of_the_catalog_only_leaves_of_names_that_differ_are_read() -> None:
    world = large()
    other = world.channel.objects.copy()
    world.upload("package7-9-0.conda", b"new")
    world.remove("package9-0-0.conda")
    requests(world)
    repairs = Repairs(world)
    report = repairs.run()
    assert (report.counts.missing, report.counts.gone) == (1, 1)
    read = [key for operation, key in world.state.operations() if operation == "GetObject"]
    assert len([key for key in read if key.startswith("leaves/")]) == 2
    world.channel.objects = other


def test_a_thousand_packages_are_fed_in_little_more_than_a_hundred_requests() -> None:
    world = World()
    repairs = Repairs(world)
    for number in range(1000):
        world.upload(f"package{number}-1-0.conda", b"")
    sent: list[str] = []
    repairs.uploads.before = lambda operation, _key: sent.append(operation)
    assert repairs.run().counts.fed == 1000
    assert len(sent) <= 100 + 1000 // NAMES_AT_ONCE
