"""Which files a tree has, and what they are stamped with."""

from __future__ import annotations

from msgspec import structs

from sluice.catalog.tree import EMPTY_TREE, ActiveConfig, ActivePatch, Inputs
from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig, config_fingerprint, config_to_dict
from sluice.layout import PATCH_INSTRUCTIONS, REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.publish.fence import Stamp
from sluice.publish.outputs import ALL_OUTPUTS, file_stamp, wanted_outputs

PATCH = ActivePatch(package="p-1-0.conda", sha256="ab" * 32, instructions=None, at=7)
PUBLIC = structs.replace(EMPTY_TREE, public=True)
PATCHED = structs.replace(
    PUBLIC,
    inputs=Inputs(
        config=ActiveConfig(
            seen=None,
            digest=None,
            settings=config_to_dict(DEFAULT_CONFIG),
            defaults=config_fingerprint(DEFAULT_CONFIG),
        ),
        patch=PATCH,
        problems=[],
        renderer=2,
    ),
)
MINE = Stamp(3, "cd" * 32, "me")


def test_by_default_there_are_the_three_that_clients_ask_for_shards_first() -> None:
    assert wanted_outputs(PUBLIC, DEFAULT_CONFIG) == [SHARD_INDEX, REPODATA_ZST, REPODATA]


def test_what_is_not_public_has_none() -> None:
    assert wanted_outputs(EMPTY_TREE, DEFAULT_CONFIG) == []


def test_without_shards_and_zstd_there_is_still_the_one_that_makes_it_a_channel() -> None:
    assert wanted_outputs(PUBLIC, ChannelConfig(write_shards=False, write_zst=False)) == [REPODATA]


def test_all_there_can_be_are_there_when_all_are_asked_for() -> None:
    everything = ChannelConfig(run_exports=True, repodata_bz2=True, current_repodata=True)
    assert wanted_outputs(PATCHED, everything) == list(ALL_OUTPUTS)


def test_what_a_patch_says_is_stamped_with_when_it_came_and_all_else_with_the_generation() -> None:
    stamps = {file: file_stamp(file, PATCHED, MINE) for file in ALL_OUTPUTS}
    assert stamps.pop(PATCH_INSTRUCTIONS) == Stamp(7, PATCH.sha256, "me")
    assert set(stamps.values()) == {MINE}
