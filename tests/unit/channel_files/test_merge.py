"""Merging a channel: what it costs, and that order, repetition and death do not matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import count, permutations

import msgspec
import pytest

from sluice import channel_files, layout
from sluice.catalog.codec import pack_struct
from sluice.channel_config import ChannelConfig, Notice
from sluice.channel_files.merge import merge_channel
from sluice.channel_files.note import Note, WantedFiles
from sluice.errors import ForeignOwner
from sluice.layout import CHANNELDATA, NOTICES, PAGE, PAGE_DATA, RSS, channel_file_key
from testkit.scheduler import Loses, Stage
from tests.support.staging_records import A2, A, B
from tests.unit.channel_files.channel_system import BOTH, CHANNEL, ChannelSystem, entries

OFF = ChannelConfig()


def ready() -> ChannelSystem:
    """A channel that has published before."""
    world = ChannelSystem()
    world.note(1, {"alpha": entries(A)}, everything=True)
    world.merge()
    world.forget_requests()
    return world


def test_a_window_with_one_note_costs_nine_requests() -> None:
    world = ready()
    world.note(2, {"beta": entries(B)})
    (note,) = world.notes()
    world.bind()
    world.forget_requests()
    world.merge()
    assert world.requests() == [
        ("ListObjectsV2", f"notes/{layout.channel_component(CHANNEL)}/"),
        ("GetObject", note),
        ("GetObject", layout.channel_state_key(CHANNEL)),
        ("GetObject", layout.channel_binding_key(CHANNEL)),
        ("PutObject", layout.channel_state_key(CHANNEL)),
        ("DeleteObjects", note),
        ("HeadObject", f"{CHANNEL}/{CHANNELDATA}"),
        ("PutObject", f"{CHANNEL}/{RSS}"),
        ("PutObject", f"{CHANNEL}/{CHANNELDATA}"),
    ]


def test_each_further_note_of_a_window_costs_one_request() -> None:
    world = ready()
    for generation in (2, 3, 4):
        world.note(generation, {"beta": entries(B)})
    world.bind()
    world.forget_requests()
    world.merge()
    assert len(world.requests()) == 9 + 2


def test_a_channel_that_wants_nothing_keeps_nothing() -> None:
    world = ChannelSystem()
    world.note(1, {"alpha": entries(A)}, config=OFF)
    world.merge()
    assert (world.channel.keys(), world.state.keys()) == ([], [])


def test_what_changes_is_replaced_and_what_goes_is_gone() -> None:
    world = ready()
    assert world.versions() == {"alpha": "1.0"}
    world.note(2, {"alpha": entries(A, A2), "beta": entries(B)})
    world.merge()
    assert world.versions() == {"alpha": "2.0", "beta": "1.0"}
    world.note(3, {"alpha": {}})
    world.merge()
    assert world.versions() == {"beta": "1.0"}
    assert world.titles() == ["beta 1.0 [linux-64]"]
    assert world.notes() == []


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order_notes_come_and_how_often_the_newest_generation_counts(
    order: tuple[int, ...],
) -> None:
    world = ChannelSystem()
    notes: list[Callable[[], None]] = [
        lambda: world.note(1, {"alpha": entries(A), "beta": entries(B)}, everything=True),
        lambda: world.note(2, {"alpha": entries(A2)}),
        lambda: world.note(3, {"alpha": entries(A, A2)}, everything=True),
        lambda: world.note(4, {"alpha": entries(A)}),
    ]
    for index in (*order, *order[:2]):
        notes[index]()
        world.merge()
    assert world.versions() == {"alpha": "1.0"}


def test_a_late_note_does_not_bring_back_what_is_gone() -> None:
    world = ready()
    world.note(3, {"alpha": {}})
    world.merge()
    published = world.file(CHANNELDATA)
    world.note(2, {"alpha": entries(A)})
    world.merge()
    assert (world.versions(), world.file(CHANNELDATA)) == ({}, published)


def test_the_same_note_again_writes_nothing() -> None:
    world = ready()
    world.note(1, {"alpha": entries(A)})
    assert world.merge().files_written == 0
    assert world.known().generation == 1


def test_what_one_subdir_says_leaves_what_others_say() -> None:
    world = ready()
    world.note(1, {"alpha": entries(A2)}, subdir="noarch", everything=True)
    world.merge()
    package = world.channeldata()["packages"]["alpha"]
    assert (package["version"], package["subdirs"]) == ("2.0", ["linux-64", "noarch"])


def test_two_merges_of_a_channel_at_once_publish_what_either_knows() -> None:
    for steps in range(12):
        world = ready()
        world.note(2, {"beta": entries(B)})
        with Stage(world.channel, world.state, world.queue) as stage:
            first = stage.actor(partial(merge_channel, world.merger, CHANNEL))
            first.run(steps)
            world.note(3, {"alpha": entries(A2)})
            second = stage.actor(partial(merge_channel, world.merger, CHANNEL))
            second.finish()
            first.finish()
        assert world.versions() == {"alpha": "2.0", "beta": "1.0"}, steps
        assert sorted(world.titles()) == ["alpha 2.0 [linux-64]", "beta 1.0 [linux-64]"], steps
        assert world.notes() == [], steps


def test_files_that_are_switched_off_and_on_again_are_there_wherever_two_merges_cut() -> None:
    wanted = msgspec.structs.replace(BOTH, page=True)
    files = (CHANNELDATA, RSS, PAGE, PAGE_DATA)
    for steps in count():
        world = ready()
        world.note(2, {}, config=wanted, everything=True)
        world.merge()
        world.note(3, {}, config=OFF, everything=True)
        with Stage(world.channel, world.state, world.queue) as stage:
            first = stage.actor(partial(merge_channel, world.merger, CHANNEL))
            first.run(steps)
            is_over = first.done
            world.note(4, {"alpha": entries(A)}, config=wanted, everything=True)
            stage.actor(partial(merge_channel, world.merger, CHANNEL)).finish()
            first.finish()
        missing = [f for f in files if channel_file_key(CHANNEL, f) not in world.channel.objects]
        assert missing == [], steps
        if is_over:
            break
    assert steps > 12


def test_a_note_that_comes_while_a_channel_is_merged_is_there_for_the_next() -> None:
    for steps in range(9):
        world = ready()
        world.note(2, {"beta": entries(B)})
        with Stage(world.channel, world.state, world.queue) as stage:
            merge = stage.actor(partial(merge_channel, world.merger, CHANNEL))
            merge.run(steps)
            world.note(3, {"alpha": entries(A2)})
            merge.finish()
        world.merge()
        assert (world.versions(), world.notes()) == ({"alpha": "2.0", "beta": "1.0"}, []), steps


@pytest.mark.parametrize("answered", [False, True])
def test_a_merge_that_is_killed_at_any_request_is_finished_by_the_next(answered: bool) -> None:  # noqa: FBT001
    for steps in range(8):
        world = ready()
        world.note(2, {"beta": entries(B)})
        with Stage(world.channel, world.state, world.queue) as stage:
            merge = stage.actor(partial(merge_channel, world.merger, CHANNEL))
            merge.run(steps)
            assert not merge.done
            if answered:
                merge.kill_after_next()
            else:
                merge.kill()
        world.merge()
        if world.notes():
            world.merge()
        assert world.versions() == {"alpha": "1.0", "beta": "1.0"}, steps
        assert len(world.titles()) == 2, steps
        assert world.notes() == [], steps


def test_what_is_switched_off_is_deleted_and_comes_back_whole() -> None:
    world = ready()
    world.note(2, {}, config=OFF)
    world.merge()
    assert world.channel.keys() == []
    world.note(3, {"alpha": entries(A), "beta": entries(B)}, everything=True)
    world.merge()
    assert world.versions() == {"alpha": "1.0", "beta": "1.0"}
    assert len(world.titles()) == 2


def test_files_of_others_are_not_deleted() -> None:
    world = ChannelSystem()
    world.channel.upload(f"{CHANNEL}/{RSS}", b"<rss/>")
    world.note(1, {"alpha": entries(A)}, config=ChannelConfig(channeldata=True), everything=True)
    world.merge()
    assert world.file(RSS) == b"<rss/>"


def test_noarch_says_for_the_whole_channel_which_files_there_are() -> None:
    world = ready()
    world.note(1, {}, subdir="noarch", config=OFF)
    world.note(2, {"alpha": entries(A)}, subdir="linux-64", config=BOTH)
    world.merge()
    assert world.channel.keys() == []


def test_notices_are_what_the_configuration_says_and_stay_where_it_says_nothing() -> None:
    told = ChannelConfig(notices=(Notice(id="1", message="Hello", level="warning"),))
    world = ChannelSystem()
    world.note(1, {}, config=told)
    world.merge()
    notices = json.loads(world.file(NOTICES))["notices"]
    assert notices == [{"id": "1", "message": "Hello", "level": "warning"}]
    world.note(2, {}, config=OFF)
    world.merge()
    assert json.loads(world.file(NOTICES))["notices"] == notices


def test_the_channel_at_the_root_of_the_bucket_has_its_files_there() -> None:
    world = ChannelSystem("")
    world.note(1, {"alpha": entries(A)}, everything=True)
    world.merge()
    assert world.channel.keys() == [CHANNELDATA, RSS]
    assert world.state.keys() == ["channels/%.msgpack.zst"]


def test_a_state_that_was_lost_goes_on_above_what_is_published() -> None:
    world = ready()
    for generation in (2, 3):
        world.note(generation, {f"p{generation}": entries(B)})
        world.merge()
    world.state.remove(layout.channel_state_key(CHANNEL))
    world.note(4, {"alpha": entries(A)}, everything=True)
    world.merge()
    assert world.versions() == {"alpha": "1.0"}
    assert world.known().generation == 4


def test_another_stack_s_files_stop_it_and_the_note_stays() -> None:
    world = ready()
    stored = world.channel.objects[f"{CHANNEL}/{CHANNELDATA}"]
    theirs = dict(stored.info.metadata) | {"sluice-owner": "another"}
    world.channel.upload(f"{CHANNEL}/{CHANNELDATA}", stored.body, metadata=theirs)
    world.note(2, {"beta": entries(B)})
    with pytest.raises(ForeignOwner):
        world.merge()
    assert len(world.notes()) == 1


def test_a_note_that_nobody_can_read_is_set_aside() -> None:
    world = ready()
    key = layout.Subdir(CHANNEL, "linux-64").note_key("bad")
    world.state.upload(key, b"no note")
    world.note(2, {"beta": entries(B)})
    report = world.merge()
    assert (report.notes, report.set_aside) == (1, 1)
    assert world.versions() == {"alpha": "1.0", "beta": "1.0"}
    assert (world.notes(), world.state.keys("unreadable/")) == ([], [f"unreadable/{key}"])


def test_a_note_of_a_newer_sluice_is_left_alone_and_stops_no_other() -> None:
    world = ready()
    key = layout.Subdir(CHANNEL, "linux-64").note_key("future")
    note = Note(
        subdir="linux-64", generation=9, wanted=WantedFiles(), everything=True, names={}, format=99
    )
    world.state.upload(key, pack_struct(note, what="note"))
    world.note(2, {"beta": entries(B)})
    report = world.merge()
    assert (report.notes, report.too_new) == (1, 1)
    assert world.versions() == {"alpha": "1.0", "beta": "1.0"}
    assert world.notes() == [key]


def test_more_notes_than_are_folded_at_once_are_folded_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_files.merge, "CHANNEL_NOTES_MAX", 2)
    world = ready()
    for number in range(2, 7):
        world.note(number, {f"p{number}": entries(B)})
    assert world.merge().notes == 5
    assert len(world.versions()) == 6
    assert world.notes() == []


@pytest.mark.parametrize("loses", list(Loses))
def test_a_write_of_the_state_that_is_not_answered_is_settled_by_reading_back(
    loses: Loses,
) -> None:
    world = ready()
    world.note(2, {"beta": entries(B)})
    with Stage(world.channel, world.state, world.queue) as stage:
        merge = stage.actor(lambda: merge_channel(world.merger, CHANNEL))
        merge.run_to("PutObject", layout.channel_state_key(CHANNEL))
        merge.lose(loses)
        merge.finish()
    assert (world.known().generation, world.versions()) == (2, {"alpha": "1.0", "beta": "1.0"})
