"""When ``index.html`` and what it lists are written, and whose stays."""

from __future__ import annotations

import json
import zlib
from functools import partial

import pytest

from sluice import layout
from sluice.channel_config import ChannelConfig
from sluice.channel_files import page
from sluice.channel_files.merge import merge_channel
from sluice.errors import ForeignOwner
from sluice.layout import CHANNELDATA, PAGE, PAGE_DATA, RSS
from testkit.scheduler import Stage
from tests.support.staging_records import A2, A, B
from tests.unit.channel_files.channel_system import CHANNEL, ChannelSystem, entries

ON = ChannelConfig(page=True)
OFF = ChannelConfig()
ALL = ChannelConfig(page=True, channeldata=True, rss=True)
HTML, LISTING = f"{CHANNEL}/{PAGE}", f"{CHANNEL}/{PAGE_DATA}"


def ready(config: ChannelConfig = ON) -> ChannelSystem:
    """A channel that has published before."""
    world = ChannelSystem()
    world.note(1, {"alpha": entries(A)}, config=config, everything=True)
    world.merge()
    world.forget_requests()
    return world


def listed(world: ChannelSystem) -> dict[str, str]:
    document = json.loads(zlib.decompress(world.file(PAGE_DATA), wbits=31))
    return {row[0]: row[1] for row in document["packages"]}


def test_the_page_and_what_it_lists_are_all_that_is_written() -> None:
    world = ready()
    assert world.channel.keys() == [HTML, LISTING]
    assert world.file(PAGE) == page.render_page()
    assert listed(world) == {"alpha": "1.0"}
    kinds = {key: stored.headers.content_type for key, stored in world.channel.objects.items()}
    assert kinds == {HTML: "text/html; charset=utf-8", LISTING: "application/gzip"}


def test_a_window_costs_a_look_and_a_write_more() -> None:
    world = ready(ALL)
    world.note(2, {"beta": entries(B)}, config=ALL)
    world.bind()
    world.forget_requests()
    world.merge()
    assert [one for one in world.channel.operations() if one[1] in (HTML, LISTING)] == [
        ("HeadObject", LISTING),
        ("PutObject", LISTING),
    ]
    assert len(world.requests()) == 9 + 2
    assert listed(world) == {"alpha": "1.0", "beta": "1.0"}


def test_the_same_note_again_writes_nothing() -> None:
    world = ready()
    world.note(1, {"alpha": entries(A)}, config=ON)
    assert world.merge().files_written == 0


def test_a_sluice_with_another_page_replaces_it_with_the_next_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = ready()
    monkeypatch.setattr(page, "render_page", lambda: b"<p>newer")
    monkeypatch.setattr(page, "page_digest", lambda: "newer")
    world.note(2, {"beta": entries(B)}, config=ON)
    assert world.merge().files_written == 2
    assert world.file(PAGE) == b"<p>newer"
    assert listed(world) == {"alpha": "1.0", "beta": "1.0"}
    world.note(3, {"beta": entries(B)}, config=ON, everything=True)
    assert world.merge().files_written == 1


def test_a_page_that_somebody_has_written_stays_and_is_told_of() -> None:
    world = ChannelSystem()
    world.channel.upload(HTML, b"<h1>Our channel")
    for generation in (1, 2):
        world.note(generation, {"alpha": entries(A)}, config=ON, everything=True)
        report = world.merge()
        assert (report.foreign_kept, report.foreign_overwritten) == (1, 0)
    assert world.file(PAGE) == b"<h1>Our channel"
    world.note(3, {}, config=OFF)
    world.merge()
    assert world.channel.keys() == [HTML]


def test_a_page_that_somebody_writes_meanwhile_stays_too() -> None:
    world = ChannelSystem()
    world.note(1, {"alpha": entries(A)}, config=ON, everything=True)
    with Stage(world.channel, world.state, world.queue) as stage:
        merge = stage.actor(partial(merge_channel, world.merger, CHANNEL))
        merge.run_to("PutObject", HTML)
        world.channel.upload(HTML, b"<h1>Our channel")
        merge.finish()
    assert world.file(PAGE) == b"<h1>Our channel"


def test_once_theirs_is_gone_ours_takes_the_place() -> None:
    world = ChannelSystem()
    world.channel.upload(HTML, b"<h1>Our channel")
    world.note(1, {"alpha": entries(A)}, config=ON, everything=True)
    world.merge()
    world.channel.remove(HTML)
    world.merge()  # reconcile asks for one
    assert world.file(PAGE) == page.render_page()


def test_what_is_switched_off_is_deleted_and_comes_back_whole() -> None:
    world = ready(ALL)
    world.note(2, {}, config=ChannelConfig(channeldata=True, rss=True), everything=True)
    world.merge()
    assert world.channel.keys() == [f"{CHANNEL}/{CHANNELDATA}", f"{CHANNEL}/{RSS}"]
    world.note(3, {"alpha": entries(A2)}, config=ALL, everything=True)
    world.merge()
    assert listed(world) == {"alpha": "2.0"}
    assert world.file(PAGE) == page.render_page()


def test_another_stack_s_page_stops_it_and_the_note_stays() -> None:
    world = ready()
    stored = world.channel.objects[HTML]
    theirs = dict(stored.info.metadata) | {"sluice-owner": "another"}
    world.channel.upload(HTML, stored.body, metadata=theirs)
    world.note(2, {"beta": entries(B)}, config=ON, everything=True)
    with pytest.raises(ForeignOwner):
        world.merge()
    assert len(world.notes()) == 1


def test_a_state_that_was_lost_goes_on_above_what_is_published() -> None:
    world = ready()
    for generation in (2, 3):
        world.note(generation, {f"p{generation}": entries(B)}, config=ON)
        world.merge()
    world.state.remove(layout.channel_state_key(CHANNEL))
    world.note(4, {"alpha": entries(A)}, config=ON, everything=True)
    world.merge()
    assert (listed(world), world.known().generation) == ({"alpha": "1.0"}, 4)


@pytest.mark.parametrize("steps", range(8))
def test_a_merge_that_is_killed_at_any_request_is_finished_by_the_next(steps: int) -> None:
    world = ChannelSystem()
    world.note(1, {"alpha": entries(A)}, config=ON, everything=True)
    with Stage(world.channel, world.state, world.queue) as stage:
        merge = stage.actor(partial(merge_channel, world.merger, CHANNEL))
        merge.run(steps)
        merge.kill()
    world.merge()
    assert (listed(world), world.file(PAGE)) == ({"alpha": "1.0"}, page.render_page())
    assert world.notes() == []
