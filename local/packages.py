"""The packages of the demo, built with py-rattler-build.

No channel but the demo's own is used, so ``python`` is there, too: a stand-in that runs the Python
which runs this, with the prefix's ``site-packages``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rattler import Subdir
from rattler_build import ArchiveType, assemble_package

PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
_SITE_PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

_PYTHON = f"""\
#!/bin/sh
prefix=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH="$prefix/{_SITE_PACKAGES}" PYTHONNOUSERSITE=1 exec "{sys.executable}" "$@"
"""
_WORDS = """\
def words() -> str:
    return "indexed by sluice"
"""
_HELLO = """\
from demo_words import words

print(f"hello from a package that was {words()}")
"""
_TOOL = """\
#!/bin/sh
echo "a package for one platform"
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a package is made of."""

    name: str
    subdir: str
    files: Mapping[str, str]
    """Path in the package to text.  What lies in ``bin/`` is executable."""
    version: str = "1.0.0"
    build: str = "0"
    depends: Sequence[str] = ()
    noarch: Literal["python", "generic"] | None = None
    archive: ArchiveType = ArchiveType.Conda

    @property
    def filename(self) -> str:
        """The name of the package's file."""
        return f"{self.name}-{self.version}-{self.build}{self.archive.extension()}"


PYTHON = Recipe(
    "python",
    str(Subdir.current()),
    {"bin/python": _PYTHON},
    version=PYTHON_VERSION,
    build="standin_0",
)
WORDS = Recipe(
    "demo-words",
    "noarch",
    {"site-packages/demo_words.py": _WORDS},
    build="py_0",
    depends=["python >=3.11"],
    noarch="python",
    archive=ArchiveType.TarBz2,
)
HELLO = Recipe(
    "demo-hello",
    "noarch",
    {"site-packages/demo_hello.py": _HELLO},
    build="py_0",
    depends=["python >=3.11", "demo-words >=1"],
    noarch="python",
)
HELLO_MODULE = "demo_hello"
TOOL = Recipe("demo-tool", "linux-64", {"bin/demo-tool": _TOOL}, build="h1_0")

RECIPES = (PYTHON, WORDS, HELLO, TOOL)


def build_package(recipe: Recipe, folder: Path) -> Path:
    """Build one package into ``folder``, which also gets the files it is made of."""
    sources = folder / "sources" / recipe.filename
    for name, text in recipe.files.items():
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.startswith("bin/"):
            path.chmod(0o755)
    return assemble_package(
        name=recipe.name,
        version=recipe.version,
        target_platform=recipe.subdir,
        build_string=recipe.build,
        output_dir=folder,
        files_dir=sources,
        depends=list(recipe.depends),
        noarch=recipe.noarch,
        archive_type=recipe.archive,
        summary="A package of sluice's demo",
        license="BSD-3-Clause",
    ).path
