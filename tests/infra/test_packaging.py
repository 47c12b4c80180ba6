"""One package for two: the layer of the functions, and people's command line."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from sluice import __version__
from tests.support.installed_program import SOURCE, Program
from tests.support.template import ROOT

REQUIREMENTS = ROOT / "requirements"
OF_FUNCTIONS_ALONE = {"aws-lambda-powertools"}
OF_THE_COMMAND_LINE_ALONE = {"cyclopts", "rich"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program.install(tmp_path_factory.mktemp("installed"))


def _names(lines: list[str]) -> set[str]:
    found = (re.match(r"[a-z0-9-]+", line) for line in lines)
    return {match[0] for match in found if match}


def _dependencies() -> list[str]:
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies: list[str] = project["dependencies"]
    return dependencies


def test_the_package_needs_what_the_layer_has_and_what_the_command_line_needs() -> None:
    layer = _names((SOURCE / "requirements.in").read_text(encoding="utf-8").splitlines())
    assert _names(_dependencies()) == layer - OF_FUNCTIONS_ALONE | OF_THE_COMMAND_LINE_ALONE
    sources = [path.read_text(encoding="utf-8") for path in (SOURCE / "sluice").rglob("*.py")]
    assert not any("aws_lambda_powertools" in source for source in sources)


def test_what_the_command_line_needs_is_pinned_here_and_not_in_the_layer() -> None:
    development = (REQUIREMENTS / "dev.in").read_text(encoding="utf-8").splitlines()
    assert _names(development) >= OF_THE_COMMAND_LINE_ALONE
    layer = _names((SOURCE / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert not OF_THE_COMMAND_LINE_ALONE & layer


def test_what_the_tests_run_with_is_within_the_ranges() -> None:
    needed = [Requirement(text) for text in _dependencies()]
    assert [one.name for one in needed if not one.specifier] == []
    assert [str(one) for one in needed if version(one.name) not in one.specifier] == []


def test_the_conda_recipe_needs_the_same() -> None:
    recipe = yaml.safe_load((ROOT / "deploy" / "conda" / "recipe.yaml").read_text())
    run = [text.replace("msgpack-python", "msgpack") for text in recipe["requirements"]["run"]]
    assert run == ["python >=3.11", *(text.replace(">=", " >=", 1) for text in _dependencies())]


def test_the_program_says_its_version(program: Program) -> None:
    ran = program.run("--version", environment={})
    assert (ran.code, ran.out, ran.err) == (0, f"{__version__}\n", "")


def test_the_program_is_typed(program: Program) -> None:
    assert (program.folder / "sluice" / "py.typed").exists()


def test_the_program_has_every_file_of_the_page(program: Program) -> None:
    def files(folder: Path) -> set[Path]:
        pages = folder.glob("sluice/*/page/**/*")
        return {one.relative_to(folder) for one in pages if one.is_file() and one.suffix != ".pyc"}

    assert {path.name for path in files(SOURCE)} >= {"page.html", "fzstd.js", "fzstd.LICENSE"}
    assert files(program.folder) == files(SOURCE)
