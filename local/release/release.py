"""All of a release, in one folder, with the same bytes whenever it is made of the same source."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from local.release.archives import files_below
from local.release.bill_of_materials import bill_of_materials
from local.release.distribution import SOURCE, build_distribution
from local.release.functions import (
    Target,
    build_function_zips,
    build_layer_zip,
    release_digest,
)
from local.release.notes import release_notes
from local.release.packaged_template import packaged_template
from local.stack import ROOT, Say
from sluice import __version__

CHECKSUMS = "SHA256SUMS"
STACK_FOLDER = "stack"
"""What is uploaded to the code bucket: ``aws s3 sync dist/stack s3://BUCKET/PREFIX``."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release that was made."""

    folder: Path
    code: str
    """The folder of its zips below ``stack/``, which no other release has."""

    @property
    def code_folder(self) -> Path:
        """Where the zips are."""
        return self.folder / STACK_FOLDER / self.code

    @property
    def template(self) -> Path:
        """The packaged template, which lies beside the folder of the zips."""
        return self.folder / STACK_FOLDER / template_name()


def template_name() -> str:
    """The name of the packaged template."""
    return f"sluice-{__version__}.template.json"


def make_release(
    folder: Path, targets: Sequence[Target], *, wheels: str = "lambda", say: Say = lambda _: None
) -> Release:
    """Make a release and put it in the place of ``folder``, which must be one, or empty.

    Raises ``BuildError``, and ``FileExistsError`` if the folder has other files, which it keeps.
    """
    _refuse_other_files(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".release-") as unfinished:
        made = Path(unfinished) / "release"
        code = _fill(made, targets, wheels, say)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return Release(folder, code)


def _fill(folder: Path, targets: Sequence[Target], wheels: str, say: Say) -> str:
    """Write everything, the checksums last; returns the name of the folder of the zips."""
    stack = folder / STACK_FOLDER
    stack.mkdir(parents=True)
    build_distribution(folder)
    say("conda-sluice: wheel and sdist")
    zips = stack / "unnamed"
    zips.mkdir()
    for target in targets:
        has_bytecode = build_layer_zip(zips, target, wheels=wheels)
        missing = "" if has_bytecode else f" (no bytecode: {target.runtime} is not installed)"
        say(f"{target.layer}{missing}")
    build_function_zips(zips)
    code = f"{__version__}-{release_digest(zips)}"
    zips.rename(stack / code)
    template = json.dumps(packaged_template(code, targets), indent=1) + "\n"
    (stack / template_name()).write_text(template, encoding="utf-8")
    bill = bill_of_materials(SOURCE / "requirements.txt", __version__)
    (folder / f"sluice-{__version__}.cdx.json").write_text(bill, encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (folder / "RELEASE_NOTES.md").write_text(release_notes(changelog, __version__), "utf-8")
    (folder / CHECKSUMS).write_text(checksums(folder), encoding="ascii")
    say(f"functions, template, bill of materials, notes, {CHECKSUMS}")
    return code


def checksums(folder: Path) -> str:
    """The lines of ``SHA256SUMS``, for ``sha256sum --check`` in that folder."""
    files = files_below(folder)
    digests = {name: sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests) if name != CHECKSUMS)


def _refuse_other_files(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / CHECKSUMS).is_file():
        raise FileExistsError(f"{folder} has files that are not a release: use an empty folder")
