"""The names of packages, their files and subdirs (CEP 26).  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from sluice.limits import FILENAME_CHARS_MAX, NAME_CHARS_MAX

PACKAGE_SUFFIXES = (".conda", ".tar.bz2")
"""The archive formats of CEP 26.  The bucket's notifications filter by these suffixes."""

NOARCH = "noarch"
KNOWN_SUBDIRS = (
    NOARCH,
    *("linux-32", "linux-64", "linux-aarch64", "linux-armv6l", "linux-armv7l", "linux-ppc64"),
    *("linux-ppc64le", "linux-riscv32", "linux-riscv64", "linux-s390x", "linux-loongarch64"),
    *("osx-64", "osx-arm64", "win-32", "win-64", "win-arm64"),
    *("emscripten-wasm32", "wasi-wasm32", "freebsd-64", "zos-z"),
)
"""Subdirs that exist (CEP 26 allows many more): for suggestions, and to tell a subdir from the last
part of a channel's name (CEP 29)."""
NO_NAME = ""
"""The catalog's name for files whose names cannot be parsed: records of another tool's index."""

T = TypeVar("T")

_SUBDIR = re.compile(r"noarch|[a-z0-9]+-[a-z0-9]+")
_SUBDIR_CHARS_MAX = 32
# CEP 26.  Names there are lower case; index.json of old packages was lower-cased by the builders
# long ago, so no wider rule is needed.
_NAME = re.compile(r"(([a-z0-9])|([a-z0-9_](?!_)))[._-]?([a-z0-9]+(\.|-|_|$))*")
_LOOSE_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[0-9a-z._+!]+")
_BUILD = re.compile(r"[a-zA-Z0-9_.+]+")
_NAMES_REMEMBERED = 1024  # in a listing, the files of one name follow each other


@dataclass(frozen=True, slots=True)
class FilenameParts:
    """The parts of a package's filename (CEP 26)."""

    name: str
    version: str
    build: str
    suffix: str


def is_subdir(text: str) -> bool:
    """Whether CEP 26 allows ``text`` as the name of a subdir."""
    return len(text) <= _SUBDIR_CHARS_MAX and _SUBDIR.fullmatch(text) is not None


def is_package_name(text: str) -> bool:
    """Whether CEP 26 allows ``text`` as the name of a package."""
    return len(text) <= NAME_CHARS_MAX and _NAME.fullmatch(text) is not None


def parse_filename(filename: str) -> FilenameParts | None:
    """Parse ``<name>-<version>-<build><suffix>``; ``None`` if CEP 26 forbids it."""
    if len(filename) > FILENAME_CHARS_MAX:
        return None
    for suffix in PACKAGE_SUFFIXES:
        if filename.endswith(suffix):
            parts = filename.removesuffix(suffix).rsplit("-", 2)
            break
    else:
        return None
    if len(parts) != 3:
        return None
    name, version, build = parts
    valid = (
        max(map(len, parts)) <= NAME_CHARS_MAX
        and _NAME.fullmatch(name)
        and _VERSION.fullmatch(version)
        and _BUILD.fullmatch(build)
    )
    return FilenameParts(name, version, build, suffix) if valid else None


def split_extension(filename: str) -> tuple[str, str]:
    """Split a package's filename into its stem and its extension, without the dot (CEP 48)."""
    suffix = next(suffix for suffix in PACKAGE_SUFFIXES if filename.endswith(suffix))
    return filename.removesuffix(suffix), suffix[1:]


def split_by_archive(by_filename: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Sort by filename into ``packages`` (.tar.bz2) and ``packages.conda`` (CEP 36).

    Half a million nearly sorted names take a fifth of a second, because sorting uses existing runs.
    """
    conda, _ = PACKAGE_SUFFIXES
    ordered = sorted(by_filename)
    of_conda = {name: by_filename[name] for name in ordered if name.endswith(conda)}
    if len(of_conda) == len(ordered):
        return {}, of_conda
    return {name: by_filename[name] for name in ordered if name not in of_conda}, of_conda


def package_name(filename: str) -> str:
    """The name under which the catalog keeps a file; ``NO_NAME`` if it cannot be parsed.

    Accepts more than CEP 26: an existing index may hold older or sloppier names, and clients look
    for the shard of each under its name in lower case.
    """
    for suffix in PACKAGE_SUFFIXES:
        stem = filename.removesuffix(suffix)
        if stem != filename and len(parts := stem.rsplit("-", 2)) == 3:
            return catalog_name(parts[0])
    return NO_NAME


@lru_cache(_NAMES_REMEMBERED)
def catalog_name(name: str) -> str:
    """A package's name in the catalog, by which clients request its shard; else ``NO_NAME``."""
    name = name.lower()
    return name if _LOOSE_NAME.fullmatch(name) else NO_NAME
