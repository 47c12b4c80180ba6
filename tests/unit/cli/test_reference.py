from __future__ import annotations

import subprocess
import sys

import pytest

from sluice.cli.app import COMMANDS, make_app
from sluice.cli.exits import Exit
from sluice.cli.reference import reference
from tests.unit.admin.test_api import LAYER


@pytest.fixture(scope="module")
def text() -> str:
    """Made once: the help of every command goes into it."""
    return reference()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_it(text: str, name: str) -> None:
    assert f"\n## sluice {name}\n\n```console\nsluice {name} " in text


def test_options_that_all_commands_have_stand_there_once(text: str) -> None:
    assert text.count("`--endpoint-url STR`") == 1
    assert text.count("`--json`: Print the result as JSON.") == 1


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_in_it_and_in_help(
    text: str, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"| {code.value} | {code.meaning} |" in text
    make_app()(["--help"], exit_on_error=False)
    assert f"{code.value}: {code.meaning}" in " ".join(capsys.readouterr().out.split())


def test_it_is_printed_as_a_module(text: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "sluice.cli.reference"],
        env={"PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == text
