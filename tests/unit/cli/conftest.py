"""The command line over a channel in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.cli.main import run
from tests.support.admin_channel import admin_channel
from tests.support.subdir_world import World


@dataclass(frozen=True)
class Answer:
    """What came of one call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, where it is JSON."""
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def sluice(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Call the command line, which finds the world's channel at every address."""

    def channel(_opener: Opener, address: Address, *, name: str | None = None) -> Channel:
        return replace(admin_channel(world), name=address.path if name is None else name)

    monkeypatch.setattr(Opener, "channel", channel)
    return caller(monkeypatch, capsys)


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> Answer:
        code = run(arguments)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return call
