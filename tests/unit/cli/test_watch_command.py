"""``sluice watch`` as a command: what it refuses, what it hands on, and its exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.admin.session.channel import Channel
from sluice.admin.watch import watch as module
from sluice.admin.watch.authentication import Credentials
from sluice.admin.watch.watch import WatchOptions
from sluice.cli import watch as command
from tests.unit.cli.conftest import Call

ADDRESS = "s3://channels/team"


class Left(Exception):
    """The process has exited."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a process is started with, instead of one."""
    seen: dict[str, Any] = {}

    class Process:
        def __init__(self, channels: list[Channel], options: WatchOptions, journal: Any) -> None:
            seen.update(channels=channels, options=options, journal=journal)

        def prepare(self) -> None:
            seen["before"] = signal.getsignal(signal.SIGTERM)

        def run(self) -> bool:
            seen["during"] = signal.getsignal(signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            return True

        def stop(self) -> None:
            seen["stopped"] = True

        def list_now(self) -> None:
            seen["listed"] = True

    def leave(code: int) -> None:
        seen["code"] = code
        raise Left

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hangup = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(module, "Watch", Process)
    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr(command, "keep_memory_small", lambda: None)
    yield seen
    for number, handler in {**handlers, signal.SIGHUP: hangup}.items():
        signal.signal(number, handler)


def test_it_hands_on_what_was_said_and_ends_with_success(
    sluice: Call, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_WATCH_TOKEN", "secret")
    monkeypatch.setenv("SLUICE_WATCH_USER", "ceph:word")
    sluice("watch", ADDRESS, "s3://channels/other", "--poll", "7", "--debounce", "2", "--leader")
    options = started["options"]
    assert [channel.name for channel in started["channels"]] == ["team", "other"]
    assert (options.poll_seconds, options.debounce_seconds, options.leader) == (7, 2, True)
    assert options.credentials == Credentials("secret", "ceph:word")
    assert options.accepts_events
    assert (started["listed"], started["stopped"], started["code"]) == (True, True, 0)
    assert started["before"] is not started["during"]


def test_without_credentials_no_events_are_received(
    sluice: Call, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLUICE_WATCH_TOKEN", raising=False)
    monkeypatch.delenv("SLUICE_WATCH_USER", raising=False)
    sluice("watch", ADDRESS)
    assert not started["options"].accepts_events
    sluice("watch", ADDRESS, "--allow-anonymous")
    assert started["options"].accepts_events


@pytest.mark.parametrize(
    "arguments",
    [(), (ADDRESS, "--poll", "0"), (ADDRESS, "--debounce", "-1"), ("nonsense",)],
)
def test_what_cannot_be_meant_is_a_usage_error(
    sluice: Call, started: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    assert sluice("watch", *arguments).code == 2
    assert started == {}


def test_what_is_not_installed_is_named(sluice: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _name: None)
    answer = sluice("watch", ADDRESS)
    assert answer.code == 2
    assert "prometheus_client and uvicorn. Install them with" in answer.err
