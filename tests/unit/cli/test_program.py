"""The program as a process: what it imports, how it is interrupted, and its output as a whole."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sluice.cli
from sluice.cli.app import COMMANDS, make_app
from sluice.cli.exits import Exit
from sluice.cli.json_document import encode_json
from testkit.s3_server.process import S3Server, s3_server
from tests.unit.admin.test_api import LAYER
from tests.unit.cli.conftest import Call

FOLDER = Path(sluice.cli.__file__ or "").parent
CHANNEL = "s3://channels/Conda/Default"
SHELLS = ("bash", "zsh", "fish")


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLUICE"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", "sluice.cli", *arguments],
        env={**plain, "PYTHONPATH": str(LAYER), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def imported(*arguments: str) -> set[str]:
    """The modules that a call imports."""
    program = (
        "import sys; from sluice.cli.main import run; "
        f"run({list(arguments)!r}); print(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(LAYER)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(answer.stdout.splitlines()[-1].split())


HEAVY = {"botocore", "boto3", "msgspec", "urllib3", "zstandard", "sluice.admin", "sluice.merge"}


def test_a_help_page_imports_no_command() -> None:
    assert imported("--help") & HEAVY == set()


def test_the_version_imports_nothing_that_it_does_not_need() -> None:
    assert imported("--version") & {*HEAVY, "cyclopts", "rich"} == set()


def test_a_command_imports_no_other_command() -> None:
    modules = imported("status", "--help")
    assert "sluice.cli.status" in modules
    assert modules & {"sluice.cli.index", "sluice.cli.snapshot", "sluice.cli.verify"} == set()


def test_each_summary_is_the_first_sentence_of_the_commands_own_help() -> None:
    for name, summary in COMMANDS.items():
        own = make_app(*COMMANDS)[name].help
        assert " ".join(own.split("\n\n")[0].split()) == summary


def test_the_help_of_all_commands_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    make_app()(["--help"], exit_on_error=False)
    lines = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"^│ {name} ", lines, re.MULTILINE)] == []


def test_the_modules_of_the_commands_are_imported_by_no_other_module_of_the_start() -> None:
    for module in ("main", "__main__", "app", "exits", "console", "usage_errors"):
        tree = ast.parse((FOLDER / f"{module}.py").read_text())
        names = {
            node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module
        }
        assert not any(name.startswith(("sluice.admin", "sluice.storage")) for name in names)


# --- interruptions ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        running.take(latency_ms=2000)
        yield running


_PROGRAM = """
import sys
from sluice.cli.main import main
print("begins", flush=True)
sys.argv[0] = "sluice"
main()
"""


@pytest.mark.parametrize("after_ms", [20, 40, 60, 90, 130, 200, 300, 500, 900, 1500])
def test_an_interruption_is_silent_whenever_it_comes(server: S3Server, after_ms: int) -> None:
    """Also while modules are imported, and while S3 is waited for."""
    place = ("--state", "state", "--region", "r", "--endpoint-url", server.endpoint)
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "index", "s3://bucket/team", *place],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(LAYER),
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "begins\n"
        time.sleep(after_ms / 1000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (Exit.INTERRUPTED, "", "")


# --- errors, times and styles ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "part"),
    [
        (("status", CHANNEL, "--nonsense"), Exit.USAGE_ERROR, "Usage", "Unknown option"),
        (("status",), Exit.USAGE_ERROR, "Usage", "CHANNEL requires an argument"),
        (("statu", CHANNEL), Exit.USAGE_ERROR, "Usage", 'Did you mean "status"'),
        (("log", "s3://channels/Conda/Defualt"), Exit.ISSUES_FOUND, "UnknownChannel", "no channel"),
        (("show", f"{CHANNEL}/linux-64", "1"), Exit.FAILED, "NotFound", "no subdir"),
        (("show", CHANNEL, "1"), Exit.USAGE_ERROR, "Misused", "is not the address of a subdir"),
        (("index", CHANNEL, "--force"), Exit.USAGE_ERROR, "Usage", "--re-extract"),
    ],
)
def test_an_error_is_a_json_document_on_stdout_where_json_is_asked_for(
    sluice: Call, arguments: tuple[str, ...], code: Exit, kind: str, part: str
) -> None:
    answer = sluice(*arguments, "--json")
    assert (answer.code, answer.err) == (code, "")
    error = json.loads(answer.out)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert part in error["message"]
    plain = sluice(*arguments)
    assert (plain.code, plain.out) == (code, "")
    assert part in plain.err
    assert len(plain.err.splitlines()) == 1


def test_what_nobody_foresaw_is_a_json_document_too(
    sluice: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_channel: object) -> object:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("sluice.cli.status.look", fail)
    answer = sluice("status", CHANNEL, "--json")
    assert answer.code == Exit.FAILED
    assert json.loads(answer.out)["error"]["kind"] == "ZeroDivisionError"
    assert "Traceback" in answer.err


def test_each_time_in_json_has_the_same_in_iso_8601_beside_it() -> None:
    document = json.loads(
        encode_json(
            {
                "at": 1_750_000_000_123,
                "rows": [{"committed_at": 1_750_000_000_000, "since": None, "until": 0}],
                "formats": {"at": 12},
                "record": {"timestamp": 1_700_000_000_000},
            }
        )
    )
    assert document == {
        "at": 1_750_000_000_123,
        "at_iso": "2025-06-15T15:06:40.123Z",
        "rows": [
            {
                "committed_at": 1_750_000_000_000,
                "committed_at_iso": "2025-06-15T15:06:40.000Z",
                "since": None,
                "until": 0,
            }
        ],
        "formats": {"at": 12},
        "record": {"timestamp": 1_700_000_000_000},
    }


@pytest.mark.parametrize("arguments", [("--help",), ("log", "--help"), ("status", "x", "--y")])
def test_no_color_leaves_out_every_style(arguments: tuple[str, ...]) -> None:
    process = start(*arguments, NO_COLOR="1", FORCE_COLOR="1", TERM="xterm-256color")
    out, err = process.communicate(timeout=20)
    assert "\x1b" not in out + err
    assert out + err


@pytest.mark.parametrize("command", ["pin", "unpin", "remove"])
def test_packages_are_named_in_the_usage_and_one_is_needed(sluice: Call, command: str) -> None:
    usage = sluice(command, "--help").out.splitlines()[0]
    assert usage.endswith("CHANNEL PACKAGES...")
    answer = sluice(command, CHANNEL, *(["--reason", "x"] if command == "pin" else []))
    assert answer.code == Exit.USAGE_ERROR
    assert "PACKAGES requires an argument" in answer.err


# --- other tools' flags, and completion ---------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "way"),
    [
        ("--target-platform", "--subdir"),
        ("--force", "--re-extract"),
        ("-f", "--re-extract"),
        ("--max-parallel", "--processes"),
        ("--access-key-id", "AWS_ACCESS_KEY_ID"),
        ("--secret-access-key", "AWS_SECRET_ACCESS_KEY"),
        ("--session-token", "AWS_SESSION_TOKEN"),
        ("--repodata-patch", "patches = "),
        ("--write-zst", "write-zst = true"),
        ("--no-write-zst", "write-zst = false"),
        ("--write-shards", "write-shards = true"),
        ("--no-write-shards", "write-shards = false"),
        ("--verbose", "--json"),
        ("-v", "--json"),
        ("--channeldata", "channeldata = true"),
        ("--rss", "rss = true"),
        ("--no-bz2", "repodata-bz2 = false"),
        ("--run-exports", "run-exports = true"),
        ("--current-repodata", "current-repodata = true"),
        ("--patch-generator", "patches = "),
        ("--threads", "--processes"),
    ],
)
@pytest.mark.parametrize("form", ["{}", "{} value", "{}=value"])
def test_a_flag_of_another_indexer_is_answered_with_sluices_way(
    sluice: Call, flag: str, way: str, form: str
) -> None:
    answer = sluice("index", CHANNEL, *form.format(flag).split())
    assert answer.code == Exit.USAGE_ERROR
    assert way in answer.err
    assert flag in answer.err


def test_an_argument_too_many_is_named(sluice: Call) -> None:
    answer = sluice("log", "s3://bucket/team", "linux-46", "more")
    assert answer.code == Exit.USAGE_ERROR
    assert answer.err == (
        "sluice: there is nothing to do with 'linux-46 more'. See sluice log --help\n"
    )


def test_the_region_of_rattler_index_is_an_option_here_too(sluice: Call) -> None:
    assert sluice("log", "s3://channels/x", "--region", "eu-west-1").code == Exit.ISSUES_FOUND


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_every_command_and_option(sluice: Call, shell: str) -> None:
    script = sluice("completion", shell).out
    assert [name for name in COMMANDS if name not in script] == []
    for option in ("endpoint-url", "path-style", "re-extract", "dry-run"):
        assert option in script


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_script_is_one_that_its_shell_reads(
    sluice: Call, shell: str, tmp_path: Path
) -> None:
    script = tmp_path / "sluice"
    script.write_text(sluice("completion", shell).out)
    if not any(Path(folder, shell).exists() for folder in os.get_exec_path()):
        assert script.read_text().strip()  # nothing here could read it
        return
    subprocess.run([shell, "-n", str(script)], check=True)


def test_bash_completes_a_command(sluice: Call, tmp_path: Path) -> None:
    script = tmp_path / "sluice"
    script.write_text(sluice("completion", "bash").out)
    ask = (
        f"source {script}; COMP_WORDS=(sluice sta); COMP_CWORD=1; _sluice; echo ${{COMPREPLY[@]}};"
        "COMP_WORDS=(sluice index --re); COMP_CWORD=2; _sluice; echo ${COMPREPLY[@]}"
    )
    answer = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["status", "--re-extract", "--region"]


def test_another_shell_is_a_usage_error(sluice: Call) -> None:
    assert sluice("completion", "csh").code == Exit.USAGE_ERROR
