"""One version for everything that is released together, from one source."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from local.release.notes import UNRELEASED, changelog_sections, release_notes
from sluice import __version__
from sluice.cli.main import run
from sluice.telemetry import VERSION
from tests.handlers.functions import load
from tests.support.template import ROOT, TEMPLATE

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_it_is_a_semantic_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_program_and_the_logs_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert __version__ == VERSION


@pytest.mark.parametrize("name", ["extract", "merge", "reconcile"])
def test_each_line_of_a_functions_log_has_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"version-{name}")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice")
    app = load(name)
    app.logger.append_keys(of="one invocation")
    app.logger.clear_state()  # as at the start of the next one
    app.logger.error("a line")
    line = json.loads(capsys.readouterr().out)
    assert (line["version"], "of" in line) == (__version__, False)


def test_the_template_states_it() -> None:
    assert TEMPLATE["Metadata"]["Sluice"]["Version"] == __version__
    assert TEMPLATE["Outputs"]["Version"]["Value"] == __version__


def test_the_conda_recipe_states_it() -> None:
    recipe = yaml.safe_load((ROOT / "deploy" / "conda" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == __version__


def test_the_changelog_has_no_newer_one() -> None:
    released = [title for title in changelog_sections(CHANGELOG) if title != UNRELEASED]
    assert released == sorted(released, key=_numbers, reverse=True)
    assert all(_numbers(version) <= _numbers(__version__) for version in released)


def test_what_is_unreleased_has_a_version_of_its_own() -> None:
    """Whoever writes below Unreleased after a release also raises the version."""
    sections = changelog_sections(CHANGELOG)
    assert not (sections.get(UNRELEASED) and __version__ in sections)


def test_the_notes_are_the_section_of_the_version() -> None:
    changelog = (
        "# Changelog\n\n## Unreleased\n\n- c\n\n## 0.2.0 (2026-12-01)\n\n- b\n\n## 0.1.0\n- a\n"
    )
    assert release_notes(changelog, "0.2.0") == "# sluice 0.2.0\n\n- b\n"
    assert release_notes(changelog, "0.1.0") == "# sluice 0.1.0\n\n- a\n"
    assert release_notes(changelog, "0.3.0") == "# sluice 0.3.0 (not released)\n\n- c\n"


def test_without_a_section_there_are_no_notes() -> None:
    with pytest.raises(ValueError, match=r"no section '0\.2\.0'"):
        release_notes("## Unreleased\n\n## 0.1.0\n- a\n", "0.2.0")


def test_there_are_notes_for_what_is_here() -> None:
    assert release_notes(CHANGELOG, __version__).startswith(f"# sluice {__version__}")
