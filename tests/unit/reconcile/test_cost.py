"""What a reconcile costs where there is nothing to repair, or little."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from sluice.conda.names import NOARCH
from sluice.layout import (
    CURRENT_REPODATA,
    CURRENT_REPODATA_ZST,
    FROM_PACKAGES,
    PATCH_INSTRUCTIONS,
    REPODATA_BZ2,
    RUN_EXPORTS,
    Subdir,
    config_key,
)
from sluice.limits import NAMES_AT_ONCE
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.reconcile.run import ReconcileRequest
from testkit.channel import PATCHES, conda, patch_package
from testkit.system import System
from tests.support.reconcile_runs import ReconcileRuns, is_quiet
from tests.support.subdir_world import World

PACKAGES = 10_000
VERSIONS_PER_NAME = 4
LIST = "ListObjectsV2"
SUBDIRS = [Subdir("team", "linux-64"), Subdir("team", NOARCH)]
REQUESTS_MAX = 9
"""Of a run over one subdir in which nothing has changed, beside the pages of its listing."""
DEFAULTS = "[sluice]\nrun-exports = true\n"
"""What ``DefaultOutputs`` comes to as it is shipped."""
EVERYTHING = f"""
[sluice]
run-exports = true
repodata-bz2 = true
current-repodata = true
patches = "{PATCHES}"
"""
OF_THE_CHANNEL = """
channeldata = true
rss = true
[[index-config.notices]]
id = "one"
message = "Hello"
"""


@cache
def large() -> World:
    """A published subdir of 10,000 packages, reconciled once; its only change is a new mark."""
    world = World(subdir=Subdir("team", NOARCH))
    world.configure(DEFAULTS)
    world.add_corrupt("bad-1-0.conda")
    for number in range(PACKAGES - 1):
        name, version = divmod(number, VERSIONS_PER_NAME)
        world.add(f"package{name}-{version}-0.conda")
    world.merge()
    world.deliver()
    assert is_quiet(ReconcileRuns(world).run())
    return world


def requests(world: World) -> tuple[Counter[str], Counter[str]]:
    """Count the requests since the last time, to the channel bucket and the state bucket."""
    counted = []
    for store in (world.channel, world.state):
        counted.append(Counter(operation for operation, _ in store.operations()))
        store.requests.clear()
    return counted[0], counted[1]


def test_an_unchanged_subdir_of_10_000_packages_costs_its_pages_and_few_requests() -> None:
    world = large()
    requests(world)
    assert is_quiet(ReconcileRuns(world).run())
    channel, state = requests(world)
    # Ten pages of packages, of which shards in between cut one in two; the configuration.
    pages = channel.pop(LIST)
    assert pages <= PACKAGES // 1000 + 3
    assert not channel
    # Document of rejects; head, binding, tree, marks, and of the whole run the record of misplaced
    # files; the report.  heads/, notes/, staging/ of all and of the one are a page each.
    assert state == {"HeadObject": 1, "GetObject": 5, "PutObject": 1, LIST: 4}


def test_one_subdir_asked_for_by_name_costs_no_more() -> None:
    world = large()
    requests(world)
    assert is_quiet(ReconcileRuns(world).run(ReconcileRequest(channel="team", subdir=NOARCH)))
    channel, state = requests(world)
    assert channel == {LIST: PACKAGES // 1000 + 2}
    assert state == {"HeadObject": 1, "GetObject": 4, "PutObject": 1, LIST: 1}


def channel_with(configuration: str) -> System:
    """A channel of two subdirs with a reject each, and a patch, where one is wanted; in order."""
    sluice = System(1_750_000_000_000)
    patch = patch_package(
        "1", {"linux-64": {"packages.conda": {"alpha-1-0.conda": {"license": "MIT"}}}}
    )
    files = {config_key("team"): configuration.encode()}
    for subdir in SUBDIRS:
        about = {"name": "alpha", "version": "1", "build": "0", "build_number": 0}
        alpha = conda({**about, "subdir": subdir.name})
        files[subdir.file_key(alpha.filename)] = alpha.body
        files[subdir.file_key("bad-1-0.conda")] = b"no package"
    files[Subdir("team", NOARCH).file_key(patch.filename)] = patch.body
    sluice.upload(files)
    assert any(is_quiet(sluice.reconcile()) for _ in range(4))
    return sluice


def cost(sluice: System, subdir: Subdir) -> tuple[int, list[str]]:
    """What a run over one subdir costs: how many requests that list no packages; the HEADs."""
    stores = (sluice.channel, sluice.state)
    for store in stores:
        store.requests.clear()
    assert is_quiet(sluice.reconcile(ReconcileRequest(channel=subdir.channel, subdir=subdir.name)))
    done = [one for store in stores for one in store.operations()]
    done.remove((LIST, subdir.prefix))
    looked_at = {key.removeprefix(subdir.prefix) for what, key in done if what == "HeadObject"}
    return len(done), [file for file in ALL_OUTPUTS if file in looked_at]


@pytest.mark.parametrize("subdir", SUBDIRS, ids=lambda subdir: subdir.name)
@pytest.mark.parametrize("configuration", ["", DEFAULTS, EVERYTHING], ids=["", "defaults", "all"])
def test_an_unchanged_subdir_costs_no_more_for_what_is_published_of_it(
    configuration: str, subdir: Subdir
) -> None:
    sluice = channel_with(configuration)
    requests, looked_at = cost(sluice, subdir)
    assert requests <= REQUESTS_MAX
    assert looked_at == []


def test_the_files_of_the_whole_channel_cost_one_request_each_in_noarch_alone() -> None:
    plain, whole = channel_with(EVERYTHING), channel_with(EVERYTHING + OF_THE_CHANNEL)
    linux, noarch = SUBDIRS
    assert cost(whole, linux) == cost(plain, linux)
    assert cost(whole, noarch)[0] == cost(plain, noarch)[0] + 3


@pytest.mark.parametrize("subdir", SUBDIRS, ids=lambda subdir: subdir.name)
def test_what_was_published_since_is_looked_at_once(subdir: Subdir) -> None:
    sluice = channel_with(EVERYTHING)
    beta = conda(
        {
            "name": "beta",
            "version": "1",
            "build": "0",
            "build_number": 0,
            "subdir": subdir.name,
        }
    )
    sluice.upload({subdir.file_key(beta.filename): beta.body})
    sluice.extract(subdir.file_key(beta.filename))
    sluice.run_until_idle()
    # The patch is the same, and so is the file that tells what it says.
    assert cost(sluice, subdir)[1] == [file for file in ALL_OUTPUTS if file != PATCH_INSTRUCTIONS]
    assert cost(sluice, subdir)[1] == []


def test_a_file_that_is_none_of_ours_is_looked_at_once() -> None:
    sluice = channel_with("")
    subdir = SUBDIRS[0]
    theirs = [REPODATA_BZ2, CURRENT_REPODATA, CURRENT_REPODATA_ZST, FROM_PACKAGES, RUN_EXPORTS]
    sluice.upload({subdir.file_key(file): b"of another tool" for file in theirs})
    assert cost(sluice, subdir)[1] == theirs
    requests, looked_at = cost(sluice, subdir)
    assert requests <= REQUESTS_MAX
    assert looked_at == []


def test_a_noarch_that_changed_is_read_once_by_each_subdir_that_may_be_patched() -> None:
    sluice = channel_with(EVERYTHING)
    linux, noarch = SUBDIRS
    plain, _ = cost(sluice, linux)
    sluice.channel.remove(noarch.file_key("alpha-1-0.conda"))
    sluice.extract(noarch.file_key("alpha-1-0.conda"))
    sluice.run_until_idle()
    reads_and_note = 3
    assert cost(sluice, linux)[0] == plain + reads_and_note
    assert cost(sluice, linux)[0] == plain


def test_of_the_catalog_only_leaves_of_names_that_differ_are_read() -> None:
    world = large()
    other = world.channel.objects.copy()
    world.upload("package7-9-0.conda", b"new")
    world.remove("package9-0-0.conda")
    requests(world)
    runs = ReconcileRuns(world)
    report = runs.run()
    assert (report.counts.missing, report.counts.gone) == (1, 1)
    read = [key for operation, key in world.state.operations() if operation == "GetObject"]
    # Each leaf is a part of a pack, and its range is read.
    assert len([key for key in read if key.startswith("packs/")]) == 2
    assert not [key for key in read if key.startswith("leaves/")]
    world.channel.objects = other


def test_a_thousand_packages_are_fed_in_little_more_than_a_hundred_requests() -> None:
    world = World()
    runs = ReconcileRuns(world)
    for number in range(1000):
        world.upload(f"package{number}-1-0.conda", b"")
    sent: list[str] = []
    runs.uploads.before = lambda operation, _key: sent.append(operation)
    assert runs.run().counts.fed == 1000
    assert len(sent) <= 100 + 1000 // NAMES_AT_ONCE
