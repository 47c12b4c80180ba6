"""``python -m sluice.cli.reference``: writes the command reference from the command definitions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sluice.cli.app import COMMANDS, make_app
from sluice.cli.exits import Exit

_INTRODUCTION = (
    "[Install](../how-to/install.md) sluice with `pip install conda-sluice`. Every command accepts "
    "the [common options](#options-of-all-commands) and returns one of the "
    "[exit codes](#exit-codes)."
)
_SHARED = re.compile(r"\n\*\*Where\*\*:\n\n(.*?)\n\n\*\*Output\*\*:\n\n(.*?)\n(?=\n|\Z)", re.DOTALL)
"""The help about the options that all commands have."""


def reference() -> str:
    """All commands with their options, then the shared options, and the exit codes."""
    with _as_the_program():
        markdown = make_app(*COMMANDS).generate_docs(usage_name="sluice", heading_level=1)
    commands = markdown[markdown.index("\n## sluice ") :]
    shared = {f"{where}\n{output}" for where, output in _SHARED.findall(commands)}
    (options,) = shared  # they are declared once
    parts = [
        "# The command line",
        _INTRODUCTION,
        _SHARED.sub("", commands).strip(),
        "## Options of all commands",
        options,
        "## Exit codes",
        "\n".join(
            ["| code | meaning |", "| --- | --- |"]
            + [f"| {code.value} | {code.meaning} |" for code in Exit]
        ),
    ]
    return "\n\n".join(parts) + "\n"


@contextmanager
def _as_the_program() -> Iterator[None]:
    """Set the program's name, which cyclopts otherwise takes from the process."""
    arguments, sys.argv = sys.argv, ["sluice"]
    try:
        yield
    finally:
        sys.argv = arguments


if __name__ == "__main__":
    sys.stdout.write(reference())
