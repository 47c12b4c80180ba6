"""What the layers and the page carry of others, as CycloneDX 1.6."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluice.channel_files.page import vendored

_PINNED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)
_ROOT_REF = "sluice"


def bill_of_materials(requirements: Path, version: str) -> str:
    """The document, the same for the same requirements: no serial number, and no time.

    ``requirements`` pins what is in the layers; they carry nothing else of others but what is
    vendored for the page.
    """
    components = [*_pinned(requirements), _vendored()]
    references = sorted(component["bom-ref"] for component in components)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": _ROOT_REF,
                "type": "application",
                "name": "sluice",
                "version": version,
                "licenses": [{"expression": "BSD-3-Clause AND MIT"}],
                "purl": f"pkg:pypi/conda-sluice@{version}",
            }
        },
        "components": components,
        "dependencies": [
            {"ref": _ROOT_REF, "dependsOn": references},
            *({"ref": reference} for reference in references),
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _pinned(requirements: Path) -> Iterator[dict[str, Any]]:
    for pin in _PINNED.finditer(requirements.read_text(encoding="utf-8")):
        yield _library(pin["name"], pin["version"], "pypi")


def _vendored() -> dict[str, Any]:
    licenses = [{"license": {"id": "MIT"}}]
    return {**_library(vendored.PACKAGE, vendored.VERSION, "npm"), "licenses": licenses}


def _library(name: str, version: str, kind: str) -> dict[str, Any]:
    purl = f"pkg:{kind}/{name}@{version}"
    return {"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl}
