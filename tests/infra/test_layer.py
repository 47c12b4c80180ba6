"""The layer holds the part of the core that the functions import, and nothing else."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "layers" / "sluice"


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layer")
    subprocess.run(
        ["make", "-s", "-C", SOURCE, "core", f"ARTIFACTS_DIR={folder}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / "python" / "sluice"


def _modules(folder: Path) -> set[str]:
    paths = (file.relative_to(folder.parent).with_suffix("") for file in folder.rglob("*.py"))
    return {".".join(path.parts).removesuffix(".__init__") for path in paths}


def _imports(app: Path) -> Iterator[str]:
    """What a file may import of sluice: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(app.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imported_by_the_functions() -> set[str]:
    graph = grimp.build_graph("sluice", exclude_type_checking_imports=True)
    apps = (ROOT / "functions").glob("*/app.py")
    imported = {name for app in apps for name in _imports(app)} & graph.modules
    assert imported, "the functions import nothing"
    closure = imported.union(*(graph.find_upstream_modules(module) for module in imported))
    packages = {module.rsplit(".", depth)[0] for module in closure for depth in range(1, 4)}
    return closure | (packages & graph.modules)


def test_the_layer_holds_what_the_functions_import_and_no_more(layer: Path) -> None:
    assert _modules(layer) == _imported_by_the_functions()


def test_the_layer_has_no_command_line_no_admin_and_no_test_kit(layer: Path) -> None:
    assert {file.name for file in layer.iterdir() if file.is_dir()} == {
        "catalog",
        "channel_files",
        "conda",
        "extract",
        "merge",
        "messages",
        "package",
        "publish",
        "reconcile",
        "storage",
        "takeover",
        "wiring",
    }
    assert {file.name for file in (layer / "storage").iterdir() if file.is_dir()} == set()
