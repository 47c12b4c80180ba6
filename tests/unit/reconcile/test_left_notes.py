"""Notes whose request was lost are merged: by reconcile, and by the next index run."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.layout import Subdir
from sluice.limits import PUBLISHING_SECONDS_MAX
from sluice.merge.handler import carry_out_merge_request, parse_merge_message
from sluice.messages.merge_request import MergeRequest
from sluice.reconcile.context import ReconcileRequest
from testkit.channel import conda
from testkit.system import System
from tests.support.reconcile_runs import is_quiet

CHANNELDATA = "team/channeldata.json"


def package(name: str) -> bytes:
    index = {"name": name, "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64"}
    return conda(index).body


def lost_notes(*channels: str) -> System:
    """Channels with two packages each; the note about the second has lost its request."""
    system = System(1_750_000_000_000)
    for channel in channels:
        system.upload({f"{channel}/sluice.toml": b"[sluice]\nchanneldata = true\n"})
        add(system, channel, "alpha")
    system.run_until_idle()
    for channel in channels:
        add(system, channel, "beta")
    while system.merges.messages:
        request = parse_merge_message(system.merges.messages.pop(0).body)
        if isinstance(request, MergeRequest):
            carry_out_merge_request(request, system.merger, time_left_ms=lambda: 900_000)
    assert channels_with_notes(system) == sorted(channels)
    return system


def add(system: System, channel: str, name: str) -> None:
    """Upload a package, and let extract read it."""
    key = Subdir(channel, "linux-64").file_key(f"{name}-1-0.conda")
    system.upload({key: package(name)})
    system.extract(key)


def is_shown(system: System) -> bool:
    """Whether the channel's file shows both packages."""
    return b"beta" in system.channel.body(CHANNELDATA)


def channels_with_notes(system: System) -> Sequence[str]:
    return sorted({key.split("/")[1] for key in system.state.keys("notes/")})


def test_reconcile_has_notes_merged_whose_requests_were_lost() -> None:
    system = lost_notes("team", "other")
    system.tick(PUBLISHING_SECONDS_MAX)
    counts = system.reconcile().counts
    assert (counts.behind, counts.merges) == (2, 2)
    assert channels_with_notes(system) == []
    assert is_shown(system)
    assert is_quiet(system.reconcile())


def test_a_dry_run_counts_them_and_leaves_them() -> None:
    system = lost_notes("team")
    system.tick(PUBLISHING_SECONDS_MAX)
    assert system.reconcile(ReconcileRequest(dry_run=True)).counts.behind == 1
    assert channels_with_notes(system) == ["team"]


def test_young_notes_are_left_to_the_merge_that_their_writer_requested() -> None:
    system = lost_notes("team")
    assert system.reconcile().counts.behind == 0
    assert channels_with_notes(system) == ["team"]


def test_reconcile_of_one_channel_leaves_the_notes_of_others() -> None:
    system = lost_notes("team", "other")
    system.tick(PUBLISHING_SECONDS_MAX)
    system.reconcile(ReconcileRequest(channel="team"))
    assert channels_with_notes(system) == ["other"]


def test_a_run_over_one_subdir_leaves_the_notes_of_its_channel() -> None:
    system = lost_notes("team")
    system.tick(PUBLISHING_SECONDS_MAX)
    system.reconcile(ReconcileRequest(channel="team", subdir="linux-64"))
    assert channels_with_notes(system) == ["team"]


def test_what_is_no_note_hides_none() -> None:
    system = lost_notes("team")
    system.state.upload("notes/readme.md", b"")
    system.state.upload("notes/a/readme.md", b"")
    system.tick(PUBLISHING_SECONDS_MAX)
    assert system.reconcile().counts.behind == 1
    assert is_shown(system)
