"""Zip files whose bytes depend on the content alone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can hold."""
_UNIX = 3
_MODE = 0o100644 << 16
"""Lambda needs files that everybody may read; none of ours is a program."""


def write_zip(path: Path, files: Mapping[str, Path]) -> None:
    """Write files by their names in the zip: sorted, without their times, modes and owners."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name].read_bytes())


def files_below(folder: Path) -> dict[str, Path]:
    """Every file below a folder, by its path from there."""
    files: Iterable[Path] = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}
