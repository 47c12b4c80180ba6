"""The process in one: what it starts with, and how it ends."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.admin.standalone.index import IndexOptions
from sluice.admin.watch.authentication import Credentials
from sluice.admin.watch.journal import Journal
from sluice.admin.watch.watch import Watch, WatchOptions
from sluice.errors import Misused, Unsupported
from sluice.limits import WATCH_POLL_SECONDS, WATCH_POLL_UNNOTIFIED_SECONDS
from sluice.messages.s3_event import ObjectEvent
from testkit.eventually import eventually
from testkit.memory_store import LostAnswer
from testkit.s3_server.kinds import UNUSABLE, aws_of, servers
from tests.support.standalone_channel import LINUX, StandaloneChannel, package

OPTIONS = WatchOptions(
    listen="127.0.0.1:0", poll_seconds=3600, index=IndexOptions(subdirs_at_once=1)
)


class Running:
    """A process in a thread."""

    def __init__(self, channels: list[Channel], options: WatchOptions = OPTIONS) -> None:
        self.log = io.StringIO()
        journal = Journal(json=True, clock=lambda: 1_750_000_000_000, stream=self.log)
        self.watch = Watch(channels, options, journal)
        self.result: bool | Exception | None = None
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> float:
        began = time.monotonic()
        self.watch.stop()
        assert self._ended.wait(30)
        return time.monotonic() - began

    def wait_for_end(self) -> None:
        assert self._ended.wait(30)

    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.log.getvalue().splitlines()]

    def _run(self) -> None:
        try:
            self.result = self.watch.run()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.result = error
        self._ended.set()


@pytest.fixture
def world() -> StandaloneChannel:
    return StandaloneChannel()


@contextmanager
def running(channels: list[Channel], options: WatchOptions = OPTIONS) -> Iterator[Running]:
    process = Running(channels, options)
    process.start()
    try:
        yield process
    finally:
        process.watch.stop()


def test_it_lists_as_it_starts_and_when_it_is_asked_to(world: StandaloneChannel) -> None:
    lib, late = package("lib"), package("late")
    world.upload(lib)
    with running([world.channel]) as process:
        eventually(lambda: "indexed" in process.messages(), bool, what="the first listing")
        assert world.filenames() == [lib.filename]
        world.upload(late)
        process.watch.list_now()
        eventually(lambda: process.messages().count("indexed") > 2, bool, what="the second listing")
        assert process.end() < 20
    assert process.result is True
    assert world.filenames() == sorted([lib.filename, late.filename])


def test_work_that_does_not_end_is_abandoned(
    world: StandaloneChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.admin.watch.watch.WATCH_STOP_SECONDS", 1)
    blocked, released = Event(), Event()

    def block(_operation: str, _key: str) -> None:
        blocked.set()
        released.wait(30)

    world.public.before = block
    with running([world.channel]) as process:
        assert blocked.wait(30)
        assert process.end() < 10
    released.set()
    assert process.result is False
    assert process.messages()[-1] == "ended during a run, which the next process repeats"


def test_a_server_that_does_not_answer_is_asked_again(world: StandaloneChannel) -> None:
    world.upload(package("lib"))

    def fail(_operation: str, _key: str) -> None:
        raise LostAnswer

    world.public.before = fail
    with running([world.channel]) as process:
        eventually(
            lambda: "run failed, will be retried" in process.messages(), bool, what="the error"
        )
        world.public.before = lambda *_: None
        process.watch.list_now()
        eventually(lambda: "indexed" in process.messages(), bool, what="the listing")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_its_own_ends_it_with_an_error(world: StandaloneChannel) -> None:
    def fail(_operation: str, _key: str) -> None:
        raise ZeroDivisionError

    world.public.before = fail
    with running([world.channel]) as process:
        process.wait_for_end()
    assert isinstance(process.result, RuntimeError)


def test_channels_of_one_bucket_are_watched_side_by_side(world: StandaloneChannel) -> None:
    world.upload(package("lib"))
    other = replace(world.channel, name="other")
    world.public.upload("other/linux-64/x-1.0-0.conda", package("x").body)
    with running([world.channel, other]) as process:
        eventually(lambda: process.messages().count("indexed") >= 4, bool, what="both")
    assert world.public.head("other/linux-64/repodata.json")
    assert world.public.head(LINUX.file_key("repodata.json"))


def test_a_channel_that_is_named_twice_is_refused(world: StandaloneChannel) -> None:
    with pytest.raises(Misused, match="named twice"):
        Running([world.channel, world.channel])


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1", ":x", "127.0.0.1:99999", "no such:1"])
def test_where_nobody_can_listen_is_a_usage_error(world: StandaloneChannel, listen: str) -> None:
    process = Running([world.channel], replace(OPTIONS, listen=listen))
    with pytest.raises(Misused, match="listen"):
        process.watch.run()


def test_it_polls_more_often_where_no_events_are_received() -> None:
    assert WatchOptions().poll_or_default == WATCH_POLL_UNNOTIFIED_SECONDS
    notified = WatchOptions(credentials=Credentials(token="x"))
    assert notified.poll_or_default == WATCH_POLL_SECONDS
    assert WatchOptions(anonymous=True).poll_or_default == WATCH_POLL_SECONDS
    assert WatchOptions(poll_seconds=7).poll_or_default == 7


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_server_without_conditional_writes_is_refused_before_anything_is_written(
    kind: str,
) -> None:
    with servers([kind]) as started:
        server = started[kind]
        for bucket in ("channel", "state"):
            server.create(bucket)
        opener = Opener(aws_of(server), state="state")
        channel = opener.channel(Address.parse("s3://channel/team"))
        with pytest.raises(Unsupported, match=UNUSABLE[kind].refusal):
            Running([channel]).watch.prepare()


def test_events_reach_the_channel_that_they_are_about(world: StandaloneChannel) -> None:
    other = replace(world.channel, name="other")
    process = Running([world.channel, other])
    lib, config = "linux-64/lib-1.0-0.conda", "sluice.toml"
    for bucket, key in (
        *(("channel-bucket", f"team/{name}") for name in (lib, config)),
        *(("channel-bucket", f"other/{name}") for name in (lib, "linux-64/x-1-0.conda")),
        *(("channel-bucket", f"third/{lib}"), ("another-bucket", f"team/{lib}")),
        *(("channel-bucket", "team/linux-64/repodata.json"), ("state-bucket", "heads/x.json")),
    ):
        process.watch._hint([ObjectEvent(bucket, key, 7)])
    assert [worker.schedule.pending for worker in process.watch._workers] == [1, 2]
    metrics = process.watch._metrics.render().decode()
    assert 'sluice_watch_events_total{kind="hint"} 4.0' in metrics
    assert 'sluice_watch_events_total{kind="ignored"} 4.0' in metrics
