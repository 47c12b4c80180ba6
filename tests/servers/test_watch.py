"""``sluice watch`` beside a server of others: its own notifications, listings, signals, kills."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from operator import eq
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from testkit.channel import Package
from testkit.eventually import eventually
from testkit.real_s3.seaweedfs import run_seaweedfs
from testkit.real_s3.server import RealServer, free_ports
from testkit.watch_process import TOKEN, WatchProcess, watch_process
from tests.servers.conftest import REAL, Operator, Server
from tests.support.standalone_channel import package

Start = Callable[..., AbstractContextManager[WatchProcess]]
CORRUPT = Package("linux-64", "corrupt-1.0-0.conda", b"no zip file")
UNNOTIFIED = "--poll=3600"
"""Nothing is found by listing."""


@pytest.fixture(scope="module")
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def notifying(request: pytest.FixtureRequest, port: int) -> Iterator[RealServer]:
    """A server that posts its events to the port."""
    if request.config.getoption("--s3") == "ceph":
        yield request.getfixturevalue("real_s3")
        return
    with run_seaweedfs(f"http://127.0.0.1:{port}/events", TOKEN) as server:
        yield server


@pytest.fixture
def operator(
    notifying: RealServer,
    port: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    name = request.config.getoption("--s3")
    for variable, value in notifying.environment.items():
        monkeypatch.setenv(variable, value)
    operator = Operator(Server(notifying.endpoint, notifying.environment, REAL[name]), capsys)
    if name == "ceph":
        _notify(operator, f"http://127.0.0.1:{port}/events")
    return operator


def _notify(operator: Operator, url: str) -> None:
    """Have Ceph post what docs/how-to/watch.md says; over http it sends no credentials.

    Not of removals: RGW 16.2.15 aborts if they are notified and somebody sends DeleteObjects.
    """
    topics = boto3.session.Session().client("sns", endpoint_url=operator.server.endpoint)
    topic = topics.create_topic(Name=operator.bucket, Attributes={"push-endpoint": url})
    operator.server.client.put_bucket_notification_configuration(
        Bucket=operator.bucket,
        NotificationConfiguration={
            "TopicConfigurations": [
                {
                    "Id": f"sluice-{number}",
                    "TopicArn": topic["TopicArn"],
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": suffix}]}},
                }
                for number, suffix in enumerate([".conda", ".tar.bz2", "/sluice.toml"])
            ]
        },
    )


@pytest.fixture
def start(operator: Operator, port: int, tmp_path: Path, request: pytest.FixtureRequest) -> Start:
    is_ceph = request.config.getoption("--s3") == "ceph"

    def start(*options: str, at: int = port) -> AbstractContextManager[WatchProcess]:
        return watch_process(
            [f"s3://{operator.bucket}/team"],
            *("--state", operator.state),
            *options,
            *(["--allow-anonymous"] if is_ceph else []),
            port=at,
            log=tmp_path / f"watch-{at}.log",
            environment=operator.server.environment,
        )

    return start


def published(operator: Operator, subdir: str = "linux-64") -> list[str]:
    """What clients find, in each form; nothing while the forms differ."""
    try:
        return operator.filenames(subdir)
    except (AssertionError, ClientError):
        return []


def wait_for(operator: Operator, filenames: list[str], *, seconds: float) -> float:
    """Wait until clients find exactly these; the seconds that it took."""
    began = time.monotonic()
    eventually(
        lambda: published(operator),
        lambda seen: seen == sorted(filenames),
        what="the index",
        seconds_max=seconds,
    )
    return time.monotonic() - began


def test_an_upload_is_installable_two_seconds_after_the_servers_own_event(
    operator: Operator, start: Start
) -> None:
    first, second, third = package("first"), package("second"), package("third")
    with start(UNNOTIFIED, "--debounce=4") as watch:
        watch.wait_until_ready()
        operator.upload(first)
        wait_for(operator, [first.filename], seconds=2)
        # In the window of the first: at its end, both together.
        operator.upload(second, third)
        wait_for(operator, [first.filename, second.filename, third.filename], seconds=4 + 2)
        assert len(operator.call("log")["generations"]) <= 3  # noarch's, and two
        time.sleep(4)
        operator.delete(f"team/{first.path}")
        if operator.server.expected is REAL["ceph"]:
            watch.list_now()
        wait_for(operator, [second.filename, third.filename], seconds=2)
        _, metrics = watch.get("/metrics")
        assert 'cause="events"' in metrics
        assert all(line["level"] != "error" for line in watch.lines), watch.lines
    assert operator.call("verify", "--deep")["found"]["findings"] == []


def test_a_configuration_is_in_force_after_its_event(operator: Operator, start: Start) -> None:
    operator.upload(package("lib"))
    with start(UNNOTIFIED, "--debounce=1") as watch:
        watch.wait_until_ready()
        operator.server.client.put_object(
            Bucket=operator.bucket, Key="team/sluice.toml", Body=b"[sluice]\nrss = true\n"
        )
        eventually(
            lambda: "team/rss.xml" in operator.keys(operator.bucket),
            bool,
            what="the feed",
            explain=watch.log.read_text,
            seconds_max=5,
        )


def test_without_events_an_upload_is_installable_after_the_next_listing(
    operator: Operator, start: Start
) -> None:
    lib = package("lib")
    with start("--poll=3", at=free_ports(1)[0]) as watch:
        watch.wait_until_ready()
        operator.upload(lib)
        wait_for(operator, [lib.filename], seconds=3 + 2)


def test_sighup_lists_now(operator: Operator, start: Start) -> None:
    lib = package("lib")
    with start(UNNOTIFIED, at=free_ports(1)[0]) as watch:
        watch.wait_until_ready()
        operator.upload(lib)
        watch.list_now()
        wait_for(operator, [lib.filename], seconds=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(
    operator: Operator, start: Start, number: signal.Signals
) -> None:
    operator.upload(*(package(f"lib{number}") for number in range(30)))
    with start() as watch:
        eventually(lambda: watch.get("/healthz")[0], lambda status: status == 200, what="health")
        began = time.monotonic()
        watch.process.send_signal(number)
        assert watch.process.wait(timeout=20) == 0, watch.log.read_text()
        assert time.monotonic() - began < 20


def test_what_is_wanted_of_a_package_is_waited_for(operator: Operator, start: Start) -> None:
    lib = package("lib")
    with start(UNNOTIFIED, "--debounce=1") as watch:
        watch.wait_until_ready()
        operator.upload(lib)
        (waited,) = operator.call("wait", lib.path, "--timeout", "10")
        assert (waited["state"], waited["subdir"]) == ("indexed", "linux-64")
        assert published(operator) == [lib.filename]
        operator.upload(CORRUPT)
        (waited,) = operator.call("wait", CORRUPT.path, "--timeout", "10", code=1)
        assert (waited["state"], waited["code"]) == ("rejected", "zip-invalid")
        assert CORRUPT.filename in waited["reason"]
        (waited,) = operator.call("wait", "noarch/x-1-0.conda", "--timeout", "1", code=3)
        assert waited["state"] == "waiting"


def test_nothing_is_lost_by_kills(operator: Operator, start: Start) -> None:
    """The whole story is make watch-soak."""
    packages = [
        package(f"lib{number}", subdir=subdir)
        for number in range(20)
        for subdir in ("linux-64", "noarch", "osx-arm64")
    ]
    for part in range(3):
        with start("--debounce=1", "--poll=2") as watch:
            eventually(lambda: watch.get("/healthz")[0], lambda it: it == 200, what="health")
            operator.upload(*packages[part * 20 : part * 20 + 20])
            time.sleep(0.4 * part)
            watch.kill()
    with start("--poll=2") as watch:
        watch.wait_until_ready()
        names = [one.path for one in packages]
        waited = operator.call("wait", *names, "--timeout", "30")
        assert {one["state"] for one in waited} == {"indexed"}
    assert operator.call("verify", "--deep")["found"]["findings"] == []


def test_of_two_with_a_lease_one_works_and_the_other_follows_when_it_ends(
    operator: Operator, start: Start
) -> None:
    first, second = package("first"), package("second")
    other = free_ports(1)[0]
    with start("--leader", UNNOTIFIED) as leader:
        leader.wait_until_ready()
        with start("--leader", "--poll=2", at=other) as standby:
            eventually(lambda: standby.get("/healthz")[0], lambda it: it == 200, what="health")
            assert standby.get("/readyz") == (503, "another process holds the lease\n")
            assert standby.post({"Records": []}) == 503
            operator.upload(first)
            wait_for(operator, [first.filename], seconds=2)
            code, seconds = leader.terminate()
            assert code == 0
            assert seconds < 20
            operator.upload(second)
            standby.wait_until_ready()
            wait_for(operator, [first.filename, second.filename], seconds=5)


def test_memory_does_not_grow_with_the_rounds(operator: Operator, start: Start) -> None:
    operator.upload(*(package(f"lib{number}") for number in range(50)))
    sizes = []
    with start(UNNOTIFIED, at=free_ports(1)[0]) as watch:
        watch.wait_until_ready()
        done = 50
        for number in range(20):
            operator.upload(package("round", f"{number}.0"))
            done += 1
            watch.list_now()
            eventually(lambda: len(published(operator)), partial(eq, done), what="a round")
            sizes.append(watch.rss_kib)
    assert sizes[-1] <= 1.15 * sizes[2], sizes
