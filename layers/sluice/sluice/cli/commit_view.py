"""A commit as people see it: one line, and one for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from sluice.catalog.commit import Amendment, Commit
from sluice.cli import formatting

_FILES_SHOWN_MAX = 5
SIGNS = {
    "added": ("+", "green"),
    "replaced": ("~", "yellow"),
    "removed": ("-", "red"),
    "rejected": ("!", "magenta"),
    "rewritten": ("≈", "yellow"),
    "pinned": ("#", "magenta"),
    "forgotten": ("·", "dim"),
}
"""How each kind of change to a file is marked."""


def render_commit(subdir: str, commit: Commit, *, all_files: bool) -> Text:
    """Say when it was, and what it changed; the first few files of each kind, or all."""
    lines = [_title(subdir, commit)]
    if commit.amendment:
        lines.append(_decision(commit.amendment))
    for kind, files in _changes(commit):
        lines += _files(kind, files, all_files=all_files)
    return Text("\n").join(lines)


def file_line(kind: str, file: str, *, why: str = "") -> Text:
    """One file, and what happened to it."""
    sign, style = SIGNS[kind]
    return Text.assemble(
        (f"  {sign} {formatting.cell(file)}", style), (f"  {why}" if why else "", "dim")
    )


def _title(subdir: str, commit: Commit) -> Text:
    counts = [
        f"{formatting.number(len(files))} {kind}" for kind, files in _changes(commit) if files
    ]
    if commit.taken_over:
        counts.append(f"{formatting.number(commit.taken_over)} taken over")
    return Text.assemble(
        (f"{formatting.cell(subdir)} {commit.generation}", "bold"),
        f"  {formatting.moment(commit.at)}  ",
        ", ".join(counts) or "no package changed",
    )


def _decision(amendment: Amendment) -> Text:
    """What a person decided, and why."""
    told = []
    if amendment.rolled_back_to is not None:
        told.append(f"rolled back to generation {amendment.rolled_back_to}")
    told += [
        f"{formatting.number(len(files))} {kind}"
        for kind, files in (("pinned", amendment.pinned), ("unpinned", amendment.unpinned))
        if files
    ]
    reason = [formatting.cell(amendment.reason)] if amendment.reason else []
    return Text("  " + ": ".join([", ".join(told), *reason] if told else reason), style="cyan")


def _changes(commit: Commit) -> Iterator[tuple[str, Sequence[str]]]:
    yield "added", commit.added
    yield "replaced", commit.replaced
    yield "removed", commit.removed
    yield "rejected", commit.rejected


def _files(kind: str, files: Sequence[str], *, all_files: bool) -> Iterator[Text]:
    shown = files if all_files else files[:_FILES_SHOWN_MAX]
    for file in shown:
        yield file_line(kind, file)
    if len(shown) < len(files):
        yield Text(f"    and {formatting.number(len(files) - len(shown))} more {kind}", style="dim")
