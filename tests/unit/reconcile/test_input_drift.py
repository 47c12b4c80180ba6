"""What reconcile finds of configurations and patches that nobody told of."""

from __future__ import annotations

import dataclasses
from unittest import mock

import msgspec
import pytest

from sluice.catalog import node
from sluice.catalog.head import Head, read_head
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import Inputs
from sluice.channel_config import ChannelConfig
from sluice.concurrency import in_order
from sluice.layout import (
    CHANNELDATA,
    FROM_PACKAGES,
    FROM_PACKAGES_ZST,
    NOTICES,
    PAGE,
    PAGE_DATA,
    PATCH_INSTRUCTIONS,
    REPODATA_BZ2,
    RSS,
    RUN_EXPORTS,
    SLUICE_TOML,
    Subdir,
    channel_file_key,
    config_key,
)
from sluice.reconcile.report import ReconcileReport
from testkit.channel import PATCHES, conda, patch_package
from testkit.system import System
from tests.support.garbage import DAY
from tests.support.reconcile_runs import is_quiet, subdir_reports

CHANNEL = "team"
LINUX, NOARCH = Subdir(CHANNEL, "linux-64"), Subdir(CHANNEL, "noarch")
CONFIG = config_key(CHANNEL)
WHOLE_CHANNEL = b"""
[sluice]
channeldata = true
rss = true
page = true
[[index-config.notices]]
id = "one"
message = "Hello"
"""
PATCHED = f'[sluice]\npatches = "{PATCHES}"\nretention-days = 2\n'.encode()
ALPHA = conda(
    {"name": "alpha", "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64"}
)


@pytest.fixture
def sluice() -> System:
    """A channel with one package, published under the defaults."""
    sluice = System(1_750_000_000_000)
    put(sluice, LINUX.file_key(ALPHA.filename), ALPHA.body)
    assert is_quiet(sluice.reconcile())
    return sluice


def put(sluice: System, key: str, body: bytes, *, heard: bool = True) -> None:
    """Upload a file; not every event arrives."""
    sluice.tick(3600)
    sluice.upload({key: body})
    if heard:
        sluice.extract(key)
        sluice.run_until_idle()


def put_patch(sluice: System, version: str, *, licence: str, heard: bool = True) -> None:
    """Upload a patch package that gives ``ALPHA`` a license."""
    package = patch_package(
        version, {LINUX.name: {"packages.conda": {ALPHA.filename: {"license": licence}}}}
    )
    put(sluice, NOARCH.file_key(package.filename), package.body, heard=heard)


def repaired(sluice: System) -> dict[str, list[str]]:
    """Reconcile until nothing is left to do; what the first run found behind, by subdir."""
    first = sluice.reconcile()
    assert is_quiet(sluice.reconcile())
    return behind(first)


def behind(report: ReconcileReport) -> dict[str, list[str]]:
    """What a run found behind, by subdir."""
    return {one.subdir: one.examples.get("behind", []) for one in subdir_reports(report)}


def inputs(sluice: System, subdir: Subdir = LINUX) -> Inputs:
    """What a subdir was made of."""
    catalog = CatalogReader(sluice.state, subdir, in_order)
    found = catalog.tree(head(sluice, subdir).tree).inputs
    assert found
    return found


def head(sluice: System, subdir: Subdir = LINUX) -> Head:
    """The head as stored."""
    return read_head(sluice.state, subdir).value


def licence(sluice: System) -> object:
    """What clients are told of ``ALPHA``."""
    repodata = msgspec.json.decode(sluice.body(LINUX, "repodata.json"))
    return repodata["packages.conda"][ALPHA.filename].get("license")


def test_a_configuration_that_nobody_told_of_comes_into_force_everywhere(sluice: System) -> None:
    put(sluice, CONFIG, b"[sluice]\nrun-exports = true\n", heard=False)
    assert repaired(sluice) == {"linux-64": [SLUICE_TOML], "noarch": [SLUICE_TOML]}
    assert all(s.file_key(RUN_EXPORTS) in sluice.channel.objects for s in (LINUX, NOARCH))


def test_a_configuration_that_went_unheard_is_in_force_no_more(sluice: System) -> None:
    put(sluice, CONFIG, b"[sluice]\nrun-exports = true\n", heard=False)
    repaired(sluice)
    sluice.channel.remove(CONFIG)
    assert repaired(sluice) == {"linux-64": [SLUICE_TOML], "noarch": [SLUICE_TOML]}
    assert inputs(sluice).config.seen is None
    assert LINUX.file_key(RUN_EXPORTS) not in sluice.channel.objects


def test_a_configuration_that_cannot_be_used_is_looked_at_once(sluice: System) -> None:
    put(sluice, CONFIG, b"[sluice]\nrun-exprots = true\n", heard=False)
    assert repaired(sluice) == {"linux-64": [SLUICE_TOML], "noarch": [SLUICE_TOML]}
    (problem,) = inputs(sluice, NOARCH).problems
    assert problem.filename == SLUICE_TOML


def test_something_beside_the_configuration_is_none(sluice: System) -> None:
    put(sluice, f"{CONFIG}.bak", b"[sluice]\n", heard=False)
    assert is_quiet(sluice.reconcile())


def test_other_defaults_of_the_stack_come_into_force(sluice: System) -> None:
    defaults = ChannelConfig(repodata_bz2=True)
    sluice.merger = dataclasses.replace(sluice.merger, defaults=defaults)
    sluice.reconciler = dataclasses.replace(sluice.reconciler, defaults=defaults)
    assert repaired(sluice) == {"linux-64": [SLUICE_TOML], "noarch": [SLUICE_TOML]}
    assert LINUX.file_key(REPODATA_BZ2) in sluice.channel.objects


def test_a_new_way_of_making_shards_has_them_made_again(sluice: System) -> None:
    before = sluice.channel.keys(LINUX.shards.prefix)
    with mock.patch.object(node, "RENDERER_VERSION", node.RENDERER_VERSION + 1):
        assert repaired(sluice) == {"linux-64": ["shards"], "noarch": ["shards"]}
    assert len(sluice.channel.keys(LINUX.shards.prefix)) == len(before) + 1


def test_a_patch_of_which_only_noarch_has_heard_reaches_the_others(sluice: System) -> None:
    put(sluice, CONFIG, PATCHED, heard=False)
    repaired(sluice)
    with mock.patch("sluice.extract.config_broadcast.ConfigBroadcast.notify_all"):
        put_patch(sluice, "1", licence="MIT")
    assert licence(sluice) is None
    assert repaired(sluice) == {"linux-64": [PATCHES]}
    assert licence(sluice) == "MIT"


def test_a_patch_that_came_and_went_unheard_is_applied_and_taken_back(sluice: System) -> None:
    put(sluice, CONFIG, PATCHED, heard=False)
    repaired(sluice)
    put_patch(sluice, "1", licence="MIT", heard=False)
    sluice.reconcile()
    assert licence(sluice) == "MIT"
    assert is_quiet(sluice.reconcile())
    sluice.channel.remove(NOARCH.file_key(f"{PATCHES}-1-0.conda"))
    sluice.reconcile()
    assert licence(sluice) is None
    assert is_quiet(sluice.reconcile())
    left = {PATCH_INSTRUCTIONS, FROM_PACKAGES, FROM_PACKAGES_ZST}
    assert not left & {key.rpartition("/")[2] for key in sluice.channel.objects}


@pytest.mark.parametrize("file", [REPODATA_BZ2, RUN_EXPORTS])
def test_a_file_of_ours_that_a_late_merge_has_left_goes(sluice: System, file: str) -> None:
    put(sluice, CONFIG, b"[sluice]\nrun-exports = true\nrepodata-bz2 = true\n", heard=False)
    repaired(sluice)
    late = sluice.channel.objects[LINUX.file_key(file)]
    sluice.channel.remove(CONFIG)
    repaired(sluice)
    sluice.channel.objects[late.info.key] = late
    assert repaired(sluice) == {"linux-64": [file]}
    assert late.info.key not in sluice.channel.objects


def test_a_file_of_another_tool_that_we_do_not_write_stays(sluice: System) -> None:
    put(sluice, LINUX.file_key(REPODATA_BZ2), b"somebody's", heard=False)
    assert is_quiet(sluice.reconcile())
    assert sluice.body(LINUX, REPODATA_BZ2) == b"somebody's"


def test_a_patch_is_kept_as_long_as_a_generation_that_it_made_and_no_longer(
    sluice: System,
) -> None:
    put(sluice, CONFIG, PATCHED, heard=False)
    repaired(sluice)
    kept = []
    for version in ("1", "2"):
        put_patch(sluice, version, licence=version)
        patch = inputs(sluice).patch
        assert patch
        assert patch.instructions
        kept.append(LINUX.patches.key(patch.instructions))
        sluice.reconcile()
    sluice.tick(DAY)
    assert is_quiet(sluice.reconcile())
    assert sluice.state.keys(LINUX.patches.prefix) == sorted(kept)
    # The two days of the configuration, and one for merges under way.
    sluice.tick(2 * DAY)
    assert sluice.reconcile().counts.collected > 0
    assert sluice.state.keys(LINUX.patches.prefix) == kept[1:]
    sluice.tick(20 * DAY)
    sluice.reconcile()
    assert sluice.state.keys(LINUX.patches.prefix) == kept[1:]


@pytest.mark.parametrize("file", [CHANNELDATA, RSS, NOTICES])
def test_a_file_of_the_whole_channel_that_was_lost_or_overwritten_is_written_anew(
    sluice: System, file: str
) -> None:
    put(sluice, CONFIG, WHOLE_CHANNEL, heard=False)
    sluice.reconcile()
    assert is_quiet(sluice.reconcile())
    key = channel_file_key(CHANNEL, file)
    before = sluice.channel.body(key)
    sluice.channel.remove(key)
    assert [one.examples for one in subdir_reports(sluice.reconcile())] == [{"behind": [file]}]
    assert is_quiet(sluice.reconcile())
    put(sluice, key, b"another tool's", heard=False)
    sluice.reconcile()
    assert is_quiet(sluice.reconcile())
    assert len(sluice.channel.body(key)) == len(before)


def test_the_page_and_what_it_lists_are_written_anew_where_they_were_lost(sluice: System) -> None:
    put(sluice, CONFIG, WHOLE_CHANNEL, heard=False)
    sluice.reconcile()
    pages = [channel_file_key(CHANNEL, file) for file in (PAGE_DATA, PAGE)]
    for key in pages:
        sluice.channel.remove(key)
    assert [one.examples for one in subdir_reports(sluice.reconcile())] == [
        {"behind": [PAGE_DATA, PAGE]}
    ]
    assert set(pages) <= set(sluice.channel.keys())
    assert is_quiet(sluice.reconcile())


def test_a_page_that_somebody_has_written_is_nothing_to_repair(sluice: System) -> None:
    put(sluice, CONFIG, WHOLE_CHANNEL, heard=False)
    sluice.reconcile()
    put(sluice, channel_file_key(CHANNEL, PAGE), b"<h1>Our channel", heard=False)
    assert is_quiet(sluice.reconcile())
    assert sluice.channel.body(channel_file_key(CHANNEL, PAGE)) == b"<h1>Our channel"
