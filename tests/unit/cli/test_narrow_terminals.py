"""Tables on terminals of every width: what a row is about, and its state, survive."""

from __future__ import annotations

import pytest

from sluice.admin.changes.pins import pin
from sluice.cli.exits import Exit
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import SUBDIR, A
from tests.support.subdir_world import World
from tests.unit.cli.conftest import Answer, Call

CHANNEL = "s3://channels/Conda/Default"
WIDTHS = (20, 40, 60, 80, 100, 108, 109, 120, 200)


@pytest.fixture
def narrow(sluice: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line on a terminal of the width that comes first."""

    def call(*arguments: str) -> Answer:
        width, *command = arguments
        monkeypatch.setenv("COLUMNS", width)
        answer = sluice(*command)
        assert max(map(len, answer.out.splitlines())) <= int(width), answer.out
        return answer

    return call


@pytest.mark.parametrize("width", WIDTHS)
def test_a_status_keeps_the_subdir_and_its_state(narrow: Call, world: World, width: int) -> None:
    world.add(A)
    world.merge()
    answer = narrow(str(width), "status", CHANNEL)
    assert answer.code == Exit.OK
    assert "linux-64" in answer.out
    assert "published" in answer.out
    words = answer.out.split()
    for part in ("generation", "packages", "rejects", "staged"):
        assert part in words or f"{part}," in words


@pytest.mark.parametrize("width", WIDTHS)
def test_a_status_keeps_a_long_state(narrow: Call, world: World, width: int) -> None:
    world.add(A)
    world.merge()
    files = (SHARD_INDEX, REPODATA_ZST, REPODATA)
    for file in files:
        world.channel.remove(SUBDIR.file_key(file))
    answer = narrow(str(width), "status", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    text = "".join(answer.out.split())
    assert "linux-64missing:" in text or width >= 120
    assert all(file in text for file in files)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["verify", "pins"])
def test_other_tables_keep_what_their_rows_are_about(
    narrow: Call, world: World, command: str, width: int
) -> None:
    world.add(A)
    world.merge()
    world.deliver()
    if command == "pins":
        pin(admin_channel(world), SUBDIR, [A], reason="It crashes at start, and nobody knows why.")
    answer = narrow(str(width), command, CHANNEL)
    assert "linux-64" in answer.out
    if command == "pins":
        assert A in "".join(answer.out.split())
