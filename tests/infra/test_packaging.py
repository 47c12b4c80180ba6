"""One package for two: the layer of the functions, and people's command line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.installed_program import SOURCE, Program

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
OF_FUNCTIONS_ALONE = {"aws-lambda-powertools"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program.install(tmp_path_factory.mktemp("installed"))


def _names(lines: list[str]) -> set[str]:
    found = (re.match(r"[a-z0-9-]+", line) for line in lines)
    return {match[0] for match in found if match}


def _project() -> dict[str, list[str]]:
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"dependencies": project["dependencies"], **project["optional-dependencies"]}


def test_the_package_needs_what_the_layer_has_but_for_what_functions_import() -> None:
    layer = _names((SOURCE / "requirements.in").read_text(encoding="utf-8").splitlines())
    assert _names(_project()["dependencies"]) == layer - OF_FUNCTIONS_ALONE
    sources = [path.read_text(encoding="utf-8") for path in (SOURCE / "sluice").rglob("*.py")]
    assert not any("aws_lambda_powertools" in source for source in sources)


def test_what_the_command_line_needs_is_pinned_here_and_not_in_the_layer() -> None:
    needed = _names(_project()["cli"])
    assert needed
    assert needed <= _names((REQUIREMENTS / "dev.in").read_text(encoding="utf-8").splitlines())
    layer = _names((SOURCE / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert not needed & layer


def test_the_program_says_its_version(program: Program) -> None:
    ran = program.run("--version", environment={})
    assert (ran.code, ran.out, ran.err) == (0, "0.1.0\n", "")


def test_the_program_is_typed(program: Program) -> None:
    assert (program.folder / "sluice" / "py.typed").exists()


def test_the_program_has_every_file_of_the_page(program: Program) -> None:
    def files(folder: Path) -> set[Path]:
        pages = folder.glob("sluice/*/page/**/*")
        return {one.relative_to(folder) for one in pages if one.is_file() and one.suffix != ".pyc"}

    assert {path.name for path in files(SOURCE)} >= {"page.html", "fzstd.js", "fzstd.LICENSE"}
    assert files(program.folder) == files(SOURCE)
