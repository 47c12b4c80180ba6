"""What ``import sluice`` gives people, and what it costs the functions: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sluice

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "layers" / "sluice"


@pytest.mark.parametrize("name", sluice.__all__)
def test_what_the_package_offers_is_there_and_documented(name: str) -> None:
    assert getattr(sluice, name).__doc__


def test_what_it_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'sluice' has no attribute 'nonsense'"):
        _ = sluice.nonsense


def _imported(code: str) -> set[str]:
    """The modules that are there after some code has run in a new interpreter."""
    script = f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    more = _imported("import sluice") - _imported("import typing, __future__")
    assert more == {"sluice"}


@pytest.mark.parametrize("function", ["extract", "merge", "reconcile"])
def test_a_function_imports_neither_the_api_nor_the_command_line(function: str) -> None:
    folder = ROOT / "functions" / function
    found = _imported(f"sys.path.insert(0, {str(folder)!r})\nimport app")
    assert f"sluice.{function}" in found, "the test sees what is imported"
    foreign = ("sluice.admin", "sluice.cli", "cyclopts", "rich")
    assert [name for name in found if name.startswith(foreign)] == []
