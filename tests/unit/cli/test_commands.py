"""What the commands answer, and with what they exit."""

from __future__ import annotations

import pytest
from msgspec import structs

from sluice.admin.history.generations import find_commits
from sluice.catalog.file_warnings import RUN_EXPORTS_UNREADABLE, make_file_warning
from sluice.cli.exits import Exit
from sluice.layout import REPODATA, REPODATA_ZST, Subdir
from tests.support.admin_channel import admin_channel
from tests.support.garbage import DAY, RETENTION_DAYS, collect_garbage
from tests.support.reconcile_runs import ReconcileRuns
from tests.support.request_hooks import at_request
from tests.support.staging_records import SUBDIR, A, B, indexed, rejected
from tests.support.subdir_world import World
from tests.unit.cli.conftest import Call

CHANNEL = "s3://channels/Conda/Default"
LINUX = f"{CHANNEL}/linux-64"


def test_a_healthy_channel_exits_with_0(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.OK
    (line,) = [line for line in answer.out.splitlines() if line.startswith("linux-64")]
    assert line.split()[1] == "1"
    assert line.split()[-1] == "published"
    told = sluice("status", CHANNEL, "--json").json
    assert told["subdirs"][0]["packages"] == 1
    assert told["queues"] is None


def test_misplaced_files_are_named_with_the_reason(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    world.deliver()
    for number in range(12):
        world.channel.upload(f"Conda/Default/linux64/x-{number:02}.conda", b"")
    ReconcileRuns(world).run()
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.OK
    assert "12 objects end like packages and are where no package is:" in answer.out
    lines = [line for line in answer.out.splitlines() if "linux64" in line]
    assert lines == [
        f"  Conda/Default/linux64/x-{number:02}.conda: "
        "linux64 is not a subdir; did you mean linux-64?"
        for number in range(10)
    ]
    (told,) = sluice("status", CHANNEL, "--json").json["misplaced"]
    assert (told["channel"], told["count"], len(told["examples"])) == ("Conda/Default", 12, 10)


def test_what_is_missing_or_behind_is_named_and_exits_with_1(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    world.channel.remove(SUBDIR.file_key(REPODATA))
    world.channel.upload(SUBDIR.file_key(REPODATA_ZST), b"another tool's")
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    assert "missing: repodata.json; behind: repodata.json.zst" in answer.out
    (subdir, noarch) = sluice("status", CHANNEL, "--json").json["subdirs"]
    assert noarch["missing"] == []
    assert subdir["missing"] == [REPODATA]
    assert subdir["behind"] == [REPODATA_ZST, REPODATA]


def test_log_tells_of_files_by_kind(sluice: Call, world: World) -> None:
    world.add(A)
    world.add_corrupt(B)
    world.merge()
    world.drop(A)
    world.merge()
    answer = sluice("log", CHANNEL)
    assert answer.code == Exit.OK
    assert [line.split("  ")[0] for line in answer.out.splitlines() if line[0] != " "] == [
        "linux-64 2",
        "linux-64 1",
        "noarch 1",
    ]
    assert f"  - {A}" in answer.out
    assert f"  + {A}" in answer.out
    assert f"  ! {B}" in answer.out


def test_log_names_the_first_few_files_unless_all_are_asked_for(sluice: Call, world: World) -> None:
    names = [f"alpha-{number}.0-0.conda" for number in range(1, 9)]
    for name in names:
        world.add(name)
    world.merge()
    assert "and 3 more added" in sluice("log", LINUX).out
    assert all(name in sluice("log", LINUX, "--all-files").out for name in names)
    (one,) = sluice("log", LINUX, "--json").json["generations"]
    assert one["commit"]["added"] == names


def test_log_says_that_older_generations_were_collected(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    first = world.head().commit
    assert first
    world.add(B)
    world.merge()
    world.state.remove(SUBDIR.commit_key(first))
    assert (
        "linux-64: earlier generations have been garbage-collected." in sluice("log", CHANNEL).out
    )


def test_log_goes_on_until_it_is_interrupted(
    sluice: Call, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(A)
    world.merge()

    def happen(_seconds: float) -> None:
        if world.head().generation > 1:
            raise KeyboardInterrupt
        world.add(B)
        world.merge()

    monkeypatch.setattr("time.sleep", happen)
    answer = sluice("log", LINUX, "--follow", "--json")
    assert answer.code == Exit.INTERRUPTED
    lines = answer.out.splitlines()
    assert ['"generation":1' in lines[0], '"generation":2' in lines[1]] == [True, True]


def test_show_tells_of_one_generation(sluice: Call, world: World) -> None:
    world.add(A)
    world.add_corrupt(B)
    world.merge()
    answer = sluice("show", LINUX, "1")
    assert "zip-invalid: beta-1.0-py312_0.conda is no zip file." in answer.out
    assert "Content: 1 package and 1 reject." in answer.out
    assert sluice("show", LINUX, "1", "--json").json["commit"]["added"] == [A]


def test_diff_exits_with_1_where_there_is_one(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    world.add(B)
    world.merge()
    answer = sluice("diff", LINUX, "1", "2")
    assert answer.code == Exit.ISSUES_FOUND
    assert answer.out.splitlines() == ["linux-64 1 → 2", f"  + {B}"]
    assert sluice("diff", LINUX, "2", "2").code == Exit.OK
    (change,) = sluice("diff", LINUX, "1", "2", "--json").json["changes"]
    assert (change["kind"], change["file"]) == ("added", B)


def test_rejects_come_with_advice_and_exit_with_1(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    assert sluice("rejects", CHANNEL).code == Exit.OK
    world.add_corrupt(B)
    world.merge()
    answer = sluice("rejects", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    assert f"linux-64/{B}" in answer.out
    assert "→ The file is damaged." in answer.out
    assert sluice("rejects", CHANNEL, "--json").json[0]["code"] == "zip-invalid"


def warned(world: World) -> None:
    """Two files in the index, of which one has unreadable run exports."""
    good = indexed(A, identity=world.upload(A), at=world.now_ms)
    warning = make_file_warning(RUN_EXPORTS_UNREADABLE, f"{A} has run exports that nobody reads.")
    world.stage(structs.replace(good, warnings=(warning,)))
    world.add(B)
    world.merge()


def test_a_warning_is_told_apart_from_a_reject_and_exits_with_0(sluice: Call, world: World) -> None:
    warned(world)
    answer = sluice("rejects", CHANNEL)
    assert answer.code == Exit.OK
    assert f"linux-64/{A}" in answer.out
    assert "warning: run-exports-unreadable" in answer.out
    assert "Listed: 0 problems, 0 rejects, 1 warning." in answer.out
    (told,) = sluice("rejects", CHANNEL, "--json").json
    assert (told["kind"], told["code"]) == ("warning", "run-exports-unreadable")
    for text in (told["sentence"], told["advice"]):
        assert "reject" not in text
    world.add_corrupt(B)
    world.merge()
    answer = sluice("rejects", CHANNEL)
    assert answer.code == Exit.ISSUES_FOUND
    assert "Listed: 0 problems, 1 reject, 1 warning." in answer.out
    kinds = {told["file"]: told["kind"] for told in sluice("rejects", CHANNEL, "--json").json}
    assert kinds == {A: "warning", B: "reject"}


def test_status_counts_warnings_and_rejects_apart(sluice: Call, world: World) -> None:
    warned(world)
    (told, _noarch) = sluice("status", CHANNEL, "--json").json["subdirs"]
    assert (told["packages"], told["rejects"], told["warnings"]) == (2, 0, 1)
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.OK
    header, line = (
        line.split("  ") for line in answer.out.splitlines() if line.startswith(("subdir", "linux"))
    )
    columns = [cell.strip() for cell in header if cell.strip()]
    cells = [cell.strip() for cell in line if cell.strip()]
    by_column = dict(zip(columns, cells, strict=False))  # "oldest pending" is empty
    assert (by_column["rejects"], by_column["warnings"]) == ("0", "1")


def test_what_strangers_wrote_obeys_no_terminal(sluice: Call, world: World) -> None:
    name = "alpha-\x1b[2J1.0[bold]-0.conda"
    identity = world.upload(name)
    world.stage(rejected(name, identity=identity))
    world.add(A)
    world.merge()
    for command in ("log", "rejects"):
        out = sluice(command, CHANNEL).out
        assert r"alpha-\x1b[2J1.0[bold]-0.conda" in out
        assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", LINUX, "9"), "has no generation 9"),
        (
            ("show", f"{CHANNEL}/osx-64", "1"),
            "sluice has not indexed the subdir s3://channels/Conda/Default/osx-64",
        ),
    ],
)
def test_what_is_not_there_exits_with_3(
    sluice: Call, world: World, arguments: tuple[str, ...], told: str
) -> None:
    world.add(A)
    world.merge()
    answer = sluice(*arguments)
    assert answer.code == Exit.FAILED
    assert answer.out == ""
    assert answer.err.startswith("sluice: ")
    assert told in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nonsense",), 'Unknown command "nonsense"'),
        (("status",), "requires an argument"),
        (("status", CHANNEL, "--nonsense"), "Unknown option"),
        (("log", CHANNEL, "--limit", "many"), "Invalid value"),
        (("log", CHANNEL, "--limit", "0"), "Invalid value"),
        (("status", "/a/folder"), "is not the address of a channel"),
        (("show", CHANNEL, "1"), "is not the address of a subdir"),
        (("show", LINUX, "yesterday"), "is not a generation"),
        (("reconcile", CHANNEL), "set --stack or SLUICE_STACK"),
        (("redrive",), "set --stack or SLUICE_STACK"),
    ],
)
def test_what_cannot_be_meant_exits_with_2(
    sluice: Call, arguments: tuple[str, ...], told: str
) -> None:
    answer = sluice(*arguments)
    assert answer.code == Exit.USAGE_ERROR
    assert answer.out == ""
    assert told in answer.err


def test_a_service_that_does_not_answer_exits_with_3(sluice: Call, world: World) -> None:
    world.add(A)
    world.merge()
    world.state.upload(Subdir(SUBDIR.channel, SUBDIR.name).head_key, b"no head")
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.FAILED
    assert "heads/Conda%2FDefault/linux-64.json" in answer.err


def test_a_mistake_of_ours_does_not_look_like_a_difference(
    sluice: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_channel: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sluice.cli.status.look", fail)
    answer = sluice("status", CHANNEL)
    assert answer.code == Exit.FAILED
    assert "ZeroDivisionError" in answer.err


def test_a_generation_that_is_collected_while_it_is_read_is_no_damage(
    sluice: Call, world: World
) -> None:
    for body in (b"one", b"two"):
        world.add(A, body)
        world.merge()
    collect_garbage(world)
    world.tick((RETENTION_DAYS + 1) * DAY)
    (first,) = find_commits(admin_channel(world), SUBDIR, 1)

    def collect() -> None:
        assert collect_garbage(world).objects

    world.state.after = at_request("GetObject", SUBDIR.tree_key(first.tree), collect)
    answer = sluice("rollback", LINUX, "--to", "1")
    assert (answer.code, answer.out) == (Exit.FAILED, "")
    assert answer.err == (
        "sluice: generation 1 of Conda/Default/linux-64/ has been garbage-collected: content is "
        "kept for RetentionDays after a later generation is published. To list the available "
        "generations, run: sluice log s3://channels/Conda/Default/linux-64\n"
    )
