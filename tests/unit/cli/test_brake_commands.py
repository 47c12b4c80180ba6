"""Removals that wait, as ``sluice reconcile`` and ``sluice index`` tell of them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.catalog import brake
from sluice.catalog.brake import filenames_digest
from sluice.cli.exits import Exit
from sluice.cli.options import Options
from sluice.reconcile.run import parse_reconcile_request, start_run
from sluice.storage.object_store import ObjectStore
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import FakeFunctions, stack_of, with_clients
from tests.support.reconcile_runs import ReconcileRuns
from tests.support.staging_records import SUBDIR, A, B, C
from tests.support.standalone_channel import CHANNEL, LINUX, StandaloneChannel, package
from tests.support.subdir_world import PLENTY_MS, World
from tests.unit.cli.conftest import Call, caller

PACKAGES = [package(name) for name in ("alpha", "beta", "delta", "gamma")]
GONE = [one.filename for one in PACKAGES[:3]]
ADDRESS = f"s3://channel-bucket/{CHANNEL}"
OF_STACK = f"s3://channels/{SUBDIR.channel}"
DIGEST = filenames_digest(GONE)
WAITS = """\
linux-64: 3 of 4 packages are missing from the bucket.
  They have been missing since 2025-06-15 15:06:43Z, and stay in the index until the first \
comparison after 2025-06-18 15:06:43Z.
  If they were deleted by mistake, restore them. To remove them now, run:
""".splitlines()


@pytest.fixture(autouse=True)
def four_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brake, "BRAKE_PACKAGES_MIN", 4)


@pytest.fixture
def standalone(monkeypatch: pytest.MonkeyPatch) -> StandaloneChannel:
    """A channel of four packages, of which three are gone; found at every address."""
    world = StandaloneChannel()

    def channel(_opener: Opener, _address: Address, *, name: str | None = None) -> Channel:
        del name
        return world.channel

    def bucket(_aws: Aws, _name: str) -> ObjectStore:
        return world.public

    monkeypatch.setattr(Opener, "channel", channel)
    monkeypatch.setattr(Aws, "bucket", bucket)
    world.upload(*PACKAGES)
    world.index()
    world.index()
    for filename in GONE:
        world.public.remove(LINUX.file_key(filename))
    return world


@pytest.fixture
def with_stack(monkeypatch: pytest.MonkeyPatch) -> ReconcileRuns:
    """A channel with a stack, of four packages, of which three are gone."""
    world = World()
    runs = ReconcileRuns(world)
    for filename in (A, B, C, "last-1-0.conda"):
        world.add(filename)
    world.merge()
    world.deliver()
    for filename in (A, B, C):
        world.remove(filename)

    def function(request: Any) -> Any:
        world.tick()
        report = start_run(
            runs.reconciler, parse_reconcile_request(request), time_left_ms=lambda: PLENTY_MS
        )
        return msgspec.to_builtins(report)

    aws = with_clients(Aws(region="us-east-1"), functions=FakeFunctions(function))
    of_stack = replace(admin_channel(world), stack=stack_of(aws))

    def found(_opener: Opener, _address: Address) -> tuple[Channel, None]:
        return of_stack, None

    monkeypatch.setattr(Opener, "channel_or_subdir", found)
    return runs


@pytest.fixture
def sluice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capsys)


def last_lines(out: str, count: int) -> list[str]:
    return [line.rstrip() for line in out.rstrip().splitlines()[-count:]]


# --- sluice index -------------------------------------------------------------------------------


def test_index_says_what_waits_and_with_which_command_it_goes(
    sluice: Call, standalone: StandaloneChannel
) -> None:
    answer = sluice("index", ADDRESS, "--state", "state-bucket")
    assert answer.code == Exit.ISSUES_FOUND
    assert last_lines(answer.out, 4) == [
        *WAITS,
        f"  sluice index {ADDRESS} --confirm {DIGEST} --state state-bucket",
    ]
    assert GONE[0] in standalone.filenames()


def test_the_command_that_index_tells_carries_it_out(
    sluice: Call, standalone: StandaloneChannel
) -> None:
    told = sluice("index", ADDRESS).out
    command = shlex.split(told.rstrip().splitlines()[-1])
    answer = sluice(*command[1:])
    assert answer.code == Exit.OK
    assert standalone.filenames() == [PACKAGES[3].filename]


def test_index_answers_in_json_as_well(sluice: Call, standalone: StandaloneChannel) -> None:
    (one,) = sluice("index", ADDRESS, "--json").json["subdirs"]
    assert one["waiting"] == {
        "files": 3,
        "packages": 3,
        "of": 4,
        "digest": DIGEST,
        "since": standalone.now_ms,
        "since_iso": "2025-06-15T15:06:43.000Z",
        "until": standalone.now_ms + 3 * 86_400_000,
        "until_iso": "2025-06-18T15:06:43.000Z",
    }


def test_index_says_that_a_digest_confirms_nothing_and_which_would(
    sluice: Call, standalone: StandaloneChannel
) -> None:
    answer = sluice("index", ADDRESS, "--confirm", "0123456789ab")
    assert answer.code == Exit.ISSUES_FOUND
    assert f"--confirm {DIGEST}" in answer.out
    assert last_lines(answer.out, 1) == [
        "No pending removals have the digest 0123456789ab: nothing was removed."
    ]
    assert GONE[0] in standalone.filenames()


def test_index_without_a_brake_removes_at_once(sluice: Call, standalone: StandaloneChannel) -> None:
    assert sluice("index", ADDRESS, "--brake-days", "0").code == Exit.OK
    assert standalone.filenames() == [PACKAGES[3].filename]


@pytest.mark.parametrize("words", [("--brake-days", "-1"), ("--confirm", "yes")])
def test_index_refuses_days_and_digests_that_are_none(
    sluice: Call, standalone: StandaloneChannel, words: tuple[str, str]
) -> None:
    assert sluice("index", ADDRESS, *words).code == Exit.USAGE_ERROR
    assert GONE[0] in standalone.filenames()


def test_index_exits_with_3_where_something_failed_and_something_waits(
    sluice: Call, standalone: StandaloneChannel
) -> None:
    standalone.upload(package("pure", subdir="noarch"))
    standalone.state.upload(standalone.channel.subdir("noarch").head_key, b"?")
    answer = sluice("index", ADDRESS)
    assert answer.code == Exit.FAILED
    assert WAITS[0] in answer.out


def test_index_says_what_waits_of_an_index_that_was_taken_over(
    sluice: Call, standalone: StandaloneChannel
) -> None:
    standalone.state.objects.clear()  # the state is lost, and three of four packages are gone
    answer = sluice("index", ADDRESS)
    assert answer.code == Exit.ISSUES_FOUND
    assert last_lines(answer.out, 4) == [
        WAITS[0],
        "  They stay in the index until they have been missing for BrakeDays.",
        WAITS[2],
        f"  sluice index {ADDRESS} --confirm {DIGEST}",
    ]
    assert GONE[0] in standalone.filenames()


# --- sluice reconcile ---------------------------------------------------------------------------


def test_reconcile_says_what_waits_and_with_which_command_it_goes(
    sluice: Call, with_stack: ReconcileRuns
) -> None:
    answer = sluice("reconcile", OF_STACK, "--stack", "my-channels")
    digest = filenames_digest([A, B, C])
    assert answer.code == Exit.ISSUES_FOUND
    assert "Conda/Default/linux-64: 3 of 4 packages are missing from the bucket." in answer.out
    command = f"  sluice reconcile {OF_STACK}/linux-64 --confirm {digest} --stack my-channels"
    assert last_lines(answer.out, 1) == [command]
    confirmed = sluice(*shlex.split(command)[1:])
    assert confirmed.code == Exit.ISSUES_FOUND  # as for any other difference
    assert "are gone" not in confirmed.out
    with_stack.handle_requests()
    assert sorted(with_stack.world.published()) == ["last-1-0.conda"]


def test_reconcile_says_that_a_digest_confirms_nothing(
    sluice: Call, with_stack: ReconcileRuns
) -> None:
    assert (
        sluice("reconcile", OF_STACK, "--confirm", filenames_digest([A, B, C])).code
        == Exit.ISSUES_FOUND
    )
    with_stack.handle_requests()
    with_stack.run()
    answer = sluice("reconcile", OF_STACK, "--confirm", "0123456789ab")
    assert answer.code == Exit.ISSUES_FOUND
    assert last_lines(answer.out, 1) == [
        "No pending removals have the digest 0123456789ab: nothing was removed."
    ]


def test_reconcile_refuses_a_digest_that_is_none(sluice: Call, with_stack: ReconcileRuns) -> None:
    assert with_stack
    answer = sluice("reconcile", OF_STACK, "--confirm", "yes")
    assert answer.code == Exit.USAGE_ERROR
    assert "'yes' is not the digest of pending removals" in answer.err


# --- the command that is told -------------------------------------------------------------------


def test_a_command_is_for_the_same_place_as_a_shell_takes_it() -> None:
    options = Options(
        stack="one two",
        state="s3://state/prefix",
        endpoint_url="http://127.0.0.1:9000",
        region="eu-west-1",
        profile="me",
        path_style=True,
    )
    assert options.command("index", "s3://b/c d") == (
        "sluice index 's3://b/c d' --stack 'one two' --state s3://state/prefix "
        "--endpoint-url http://127.0.0.1:9000 --region eu-west-1 --profile me --path-style"
    )
    assert Options(path_style=False).command("status") == "sluice status --no-path-style"
