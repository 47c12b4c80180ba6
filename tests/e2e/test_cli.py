"""The command line against the deployed stack, as an operator calls it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen
from threading import Timer
from typing import Any

import pytest

from local.emulator import CREDENTIALS, REGION
from sluice.layout import REPODATA
from testkit.channel import Package, conda
from testkit.deployed import Channel
from testkit.eventually import SECONDS_MAX, eventually
from tests.e2e import s3_events
from tests.support.installed_program import Program, ProgramResult

STACK = "sluice"


def package(name: str, *, payload: bytes = b"") -> Package:
    index = {"name": name, "version": "1.0", "build": "0", "build_number": 0, "subdir": "linux-64"}
    return conda(index, payload=payload)


ALPHA, BETA, GAMMA = package("alpha"), package("beta"), package("gamma")
CORRUPT = Package("linux-64", "corrupt-1.0-0.conda", b"no zip file")


@dataclass(frozen=True)
class Operator:
    """Somebody who calls the program for one channel."""

    program: Program
    channel: Channel

    def call(self, command: str, *arguments: str, path: str = "", code: int = 0) -> ProgramResult:
        """Call a command on the channel, or on what lies at ``path`` in it."""
        address = f"{self.channel.url}/{path}" if path else self.channel.url
        return self.call_plain(command, address, *arguments, "--stack", STACK, code=code)

    def call_plain(self, *arguments: str, code: int = 0) -> ProgramResult:
        """Call the program with just these arguments; it has to exit with ``code``."""
        ran = self.program.run(*arguments, environment=self._environment)
        assert ran.code == code, ran
        return ran

    @contextmanager
    def start(self, command: str, *arguments: str, path: str) -> Iterator[Following]:
        """Start a command that does not end by itself; it is killed where it hangs."""
        address = f"{self.channel.url}/{path}"
        process = self.program.start(
            *(command, address, *arguments, "--stack", STACK), environment=self._environment
        )
        watchdog = Timer(SECONDS_MAX, process.kill)
        watchdog.start()
        try:
            with process:
                yield Following(process)
        finally:
            watchdog.cancel()
            process.kill()

    @property
    def _environment(self) -> dict[str, str]:
        endpoint = self.channel.deployed.stack.endpoint
        return {"AWS_ENDPOINT_URL": endpoint, "COLUMNS": "200", **CREDENTIALS}


@dataclass(frozen=True)
class Following:
    """A command that is running, and prints a document per line."""

    process: Popen[str]

    def lines(self, count: int) -> list[Any]:
        """Wait for its next lines."""
        assert self.process.stdout
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program.install(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def operator(program: Program, channel: Channel) -> Operator:
    return Operator(program, channel)


@pytest.fixture(scope="module")
def history(program: Program, make_channel: Callable[[str], Channel]) -> Operator:
    """A channel in which something has happened: alpha, then beta and a corrupt one, no alpha."""
    channel = make_channel("e2e/command-line")
    channel.upload(ALPHA)
    channel.wait_until_it_holds(ALPHA)
    channel.upload(BETA, CORRUPT)
    channel.wait_until_it_holds(ALPHA, BETA)
    channel.delete(ALPHA)
    channel.wait_until_it_holds(BETA)
    return Operator(program, channel)


def test_status_tells_of_subdirs_and_queues(history: Operator) -> None:
    told = history.call("status", "--json").json
    linux, noarch = told["subdirs"]
    assert (linux["subdir"], linux["packages"], linux["rejects"]) == ("linux-64", 1, 1)
    assert (linux["staged"], linux["behind"], linux["foreign_owner"]) == (0, [], None)
    assert linux["published_generation"] == linux["generation"]
    index = len(history.channel.read("linux-64/repodata.json"))
    assert linux["index_bytes"] > index
    assert (noarch["subdir"], noarch["packages"]) == ("noarch", 0)
    assert set(told["queues"]) == {
        *("UploadQueue", "UploadDlq", "SlowUploadQueue", "SlowUploadDlq"),
        *("MergeQueue", "MergeDlq"),
        *("ReconcileQueue", "ReconcileDlq"),
    }
    assert "published" in history.call("status").out


def test_the_state_bucket_stands_in_for_a_stack(history: Operator) -> None:
    state = history.channel.deployed.stack.state_bucket
    told = history.call_plain("status", history.channel.url, "--state", state, "--json").json
    assert told["queues"] is None
    assert told["subdirs"][0]["packages"] == 1


def test_where_things_are_can_be_said_by_options_alone(history: Operator) -> None:
    stack = history.channel.deployed.stack
    keys = {name: CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    where = ("--endpoint-url", stack.endpoint, "--region", REGION, "--path-style")
    for state in (("--state", stack.state_bucket), ("--stack", STACK)):
        ran = history.program.run(
            "status", history.channel.url, *state, *where, "--json", environment=keys
        )
        assert ran.code == 0, ran
        assert ran.json["subdirs"][0]["packages"] == 1


def test_status_exits_with_1_where_something_is_behind(operator: Operator) -> None:
    channel = operator.channel
    channel.upload(ALPHA)
    channel.wait_until_it_holds(ALPHA)
    stack = channel.deployed.stack
    stack.s3.delete_object(Bucket=stack.channel_bucket, Key=f"{channel.prefix}linux-64/{REPODATA}")
    told = operator.call("status", "--json", code=1).json
    assert told["subdirs"][0]["behind"] == [REPODATA]


def test_status_tells_of_what_no_merge_has_taken(operator: Operator) -> None:
    channel = operator.channel
    with channel.deployed.merging_suspended():
        channel.upload(ALPHA)
        told = eventually(
            lambda: operator.call("status", "--json").json,
            lambda told: any(one["staged"] for one in told["subdirs"]),
            what="something is staged",
            explain=channel.deployed.describe,
        )
        (linux,) = told["subdirs"]
        assert (linux["generation"], linux["staged"]) == (0, 1)
        assert told["at"] >= linux["oldest_invisible_at"] > 0
        assert told["queues"]["MergeQueue"]["waiting"]
    channel.wait_until_it_holds(ALPHA)


def test_log_tells_what_happened_newest_first(history: Operator) -> None:
    told = history.call("log", "--json", path="linux-64").json
    changes = [
        {kind: one["commit"][kind] for kind in ("added", "removed", "rejected")}
        for one in told["generations"]
    ]
    assert changes[0] == {"added": [], "removed": [ALPHA.filename], "rejected": []}
    assert changes[-1] == {"added": [ALPHA.filename], "removed": [], "rejected": []}
    between = changes[1:-1]  # one or two, as both uploads shared a window or did not
    assert [file for one in between for file in one["added"]] == [BETA.filename]
    assert [file for one in between for file in one["rejected"]] == [CORRUPT.filename]
    assert told["collected"] == []
    out = history.call("log", "--limit", "1").out
    assert f"- {ALPHA.filename}" in out
    assert BETA.filename not in out


def test_log_goes_on_with_what_happens_until_it_is_interrupted(operator: Operator) -> None:
    channel = operator.channel
    channel.upload(ALPHA)
    channel.wait_until_it_holds(ALPHA)
    with operator.start("log", "--follow", "--json", path="linux-64") as following:
        (before,) = following.lines(1)
        assert before["commit"]["added"] == [ALPHA.filename]
        channel.upload(BETA)
        (after,) = following.lines(1)
        assert after["commit"]["added"] == [BETA.filename]
        following.process.send_signal(signal.SIGINT)
        assert following.process.wait() == 130
    channel.wait_until_it_holds(ALPHA, BETA)


def test_show_and_diff_tell_of_generations(history: Operator) -> None:
    newest = history.call("log", "--json", path="linux-64").json["newest"]["linux-64"]
    shown = history.call("show", "1", "--json", path="linux-64").json
    assert (shown["commit"]["added"], shown["packages"]) == ([ALPHA.filename], 1)
    different = history.call("diff", "1", str(newest), "--json", path="linux-64", code=1).json
    assert [(one["kind"], one["file"]) for one in different["changes"]] == [
        ("removed", ALPHA.filename),
        ("added", BETA.filename),
        ("rejected", CORRUPT.filename),
    ]
    same = history.call("diff", "1", "1", path="linux-64").out
    assert "no difference" in same
    missing = history.call("show", "99", path="linux-64", code=3)
    assert missing.err.startswith("sluice: ")
    assert "has no generation 99" in missing.err


def test_rejects_tell_what_to_do(history: Operator) -> None:
    (told,) = history.call("rejects", "--json", code=1).json
    assert (told["file"], told["code"], told["kind"]) == (
        CORRUPT.filename,
        "zip-invalid",
        "reject",
    )
    assert told["advice"] in history.call("rejects", code=1).out.replace("\n  ", " ")


def test_reconcile_finds_what_was_lost_and_has_it_repaired(operator: Operator) -> None:
    channel = operator.channel
    channel.upload(ALPHA)
    channel.wait_until_it_holds(ALPHA)
    with channel.deployed.without_events():
        channel.upload(GAMMA)
    channel.deployed.wait_until_quiet()
    dry = operator.call("reconcile", "--dry-run", "--json", code=1).json
    assert (dry["counts"]["missing"], dry["request"]["dry_run"]) == (1, True)
    done = operator.call("reconcile", "--json", path="linux-64", code=1).json
    assert done["finished_at"] is not None
    assert (done["counts"]["missing"], done["counts"]["fed"]) == (1, 1)
    channel.wait_until_it_holds(ALPHA, GAMMA)
    assert "0 differences" in operator.call("reconcile").out


def test_redrive_has_dead_letters_handled(operator: Operator) -> None:
    channel, stack = operator.channel, operator.channel.deployed.stack
    with channel.deployed.without_events():
        channel.upload(ALPHA)
    channel.deployed.wait_until_quiet()
    event = s3_events.notification(stack.channel_bucket, channel.key(ALPHA))
    stack.sqs.send_message(QueueUrl=stack.upload_dlq_url, MessageBody=json.dumps(event))
    assert operator.call("status", "--json", code=1).json["queues"]["UploadDlq"]["waiting"] == 1
    moved = operator.call_plain("redrive", "--stack", STACK, "--json").json
    assert moved == {
        "UploadQueue": 1,
        "SlowUploadQueue": 0,
        "MergeQueue": 0,
        "ReconcileQueue": 0,
    }
    channel.wait_until_it_holds(ALPHA)
    assert "dead-letter queues are empty" in operator.call_plain("redrive", "--stack", STACK).out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("status", "s3://elsewhere/team", "--stack", STACK), 2, "not elsewhere"),
        (("status", "s3://elsewhere/team"), 2, "--stack or SLUICE_STACK"),
        (
            ("status", "s3://elsewhere/team", "--stack", "nobodys"),
            3,
            "the stack 'nobodys' does not exist",
        ),
        (("status", "s3://elsewhere/team", "--state", "nowhere"), 3, "nowhere"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    history: Operator, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ran = history.call_plain(*arguments, code=code)
    assert ran.out == ""
    assert told in ran.err
    assert ran.err.count("\n") == 1
