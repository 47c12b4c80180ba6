"""The architecture's table of contents is the core's folders and modules, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "layers" / "sluice" / "sluice"
FOLDERS_MAX = 14
MODULES_MAX = 10
APP_LINES_MAX = 70
DRAWERS = {"common", "utils", "util", "misc", "helpers", "shared", "lib"}


def _section() -> str:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return page.partition("### The core\n")[2].partition("\n## ")[0]


def _folders() -> set[str]:
    return {folder.parent.name for folder in CORE.glob("*/__init__.py")}


def _modules() -> set[str]:
    return {module.stem for module in CORE.glob("*.py")} - {"__init__"}


def test_the_table_names_each_folder_and_each_module_once() -> None:
    names = re.findall(r"^\| `([a-z0-9_]+/?)` \| \S.*\|$", _section(), re.MULTILINE)
    assert sorted(names) == sorted([f"{folder}/" for folder in _folders()] + list(_modules()))


def test_the_core_is_small_enough_to_be_taken_in_at_a_glance() -> None:
    assert len(_folders()) <= FOLDERS_MAX
    assert len(_modules()) <= MODULES_MAX
    everything = {part for path in CORE.rglob("*.py") for part in path.relative_to(CORE).parts}
    assert not everything & (DRAWERS | {f"{drawer}.py" for drawer in DRAWERS})


def test_the_apps_of_the_functions_only_wire_run_and_emit() -> None:
    apps = sorted((ROOT / "functions").glob("*/app.py"))
    lines = {app.parent.name: len(app.read_text(encoding="utf-8").splitlines()) for app in apps}
    assert len(lines) == 3
    assert {name: count for name, count in lines.items() if count > APP_LINES_MAX} == {}


def test_the_glossary_fits_a_screen() -> None:
    glossary = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    assert len(glossary.splitlines()) <= 45
