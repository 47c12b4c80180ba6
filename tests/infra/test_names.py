"""Names in the core say what they are, and each public function has a name of its own."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "layers" / "sluice" / "sluice"
SOURCES = [*sorted(CORE.rglob("*.py")), *sorted((ROOT / "functions").rglob("*.py"))]
MEANINGLESS = {"told", "found", "anew", "lone", "said", "asked", "touched"}
HANDLERS = {"extract.handler", "merge.handler", "reconcile.handler"}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(CORE).with_suffix("").parts)


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_identifier_is_a_word_that_says_nothing(path: Path) -> None:
    names = set(_identifiers(ast.parse(path.read_text(encoding="utf-8"))))
    assert {name for name in names if name.strip("_") in MEANINGLESS} == set()


def _public(kind: type[ast.FunctionDef | ast.ClassDef]) -> dict[str, set[str]]:
    modules: dict[str, set[str]] = defaultdict(set)
    for path in CORE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                modules[node.name].add(_module(path))
    assert modules
    return modules


def test_no_two_public_functions_share_a_name() -> None:
    shared = {name: where for name, where in _public(ast.FunctionDef).items() if len(where) > 1}
    # The entry point of each function is its handler's ``run``.
    assert shared.pop("run") == HANDLERS | {"cli.main"}
    # A command has the name of what it calls.
    commands = {
        name
        for name, where in shared.items()
        if len(where) == 2 and {module.partition(".")[0] for module in where} == {"admin", "cli"}
    }
    assert shared.keys() == commands


def test_no_two_public_classes_share_a_name() -> None:
    assert {name: where for name, where in _public(ast.ClassDef).items() if len(where) > 1} == {}
