"""The version of the program."""

from __future__ import annotations


def version_text() -> str:
    """The version of the installed package, for people."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - for one option

    try:
        return version("sluice")
    except PackageNotFoundError:
        return "of a source tree, not installed"
