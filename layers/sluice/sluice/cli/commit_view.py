"""Renders a commit for the terminal: a title line, and a line for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from sluice.catalog.commit import Amendment, Commit, InputChanges
from sluice.cli.formatting import format_cell, format_number, format_utc

_FILES_SHOWN_MAX = 5
CHANGE_SIGNS = {
    "added": ("+", "green"),
    "replaced": ("~", "yellow"),
    "removed": ("-", "red"),
    "rejected": ("!", "magenta"),
    "rewritten": ("≈", "yellow"),
    "pinned": ("#", "magenta"),
    "forgotten": ("·", "dim"),
}
"""The sign and the color of each kind of change."""


def render_commit(subdir: str, commit: Commit, *, all_files: bool) -> Text:
    """Show the time and the changes; the first few files of each kind, or all."""
    lines = [_title(subdir, commit)]
    if commit.amendment:
        lines.append(_amendment_line(commit.amendment))
    if commit.inputs:
        lines += _input_lines(commit.inputs)
    for kind, files in _files_by_kind(commit):
        lines += _file_lines(kind, files, all_files=all_files)
    return Text("\n").join(lines)


def render_file_line(kind: str, file: str, *, why: str = "") -> Text:
    """The line about one file."""
    sign, style = CHANGE_SIGNS[kind]
    return Text.assemble(
        (f"  {sign} {format_cell(file)}", style), (f"  {why}" if why else "", "dim")
    )


def _title(subdir: str, commit: Commit) -> Text:
    counts = [
        f"{format_number(len(files))} {kind}" for kind, files in _files_by_kind(commit) if files
    ]
    if commit.taken_over:
        counts.append(f"{format_number(commit.taken_over)} taken over")
    return Text.assemble(
        (f"{format_cell(subdir)} {commit.generation}", "bold"),
        f"  {format_utc(commit.at)}  ",
        ", ".join(counts) or _without_packages(commit),
    )


def _without_packages(commit: Commit) -> str:
    """The summary of a generation that changes no package."""
    if not commit.inputs:
        return "no package changed"
    if commit.inputs.refused:
        return "configuration or patch rejected"
    if commit.inputs.settings:
        return "configuration changed"
    return "configuration read again" if commit.inputs.config else "patch changed"


def _input_lines(changes: InputChanges) -> Iterator[Text]:
    """The lines about configuration and patch."""
    if changes.config or changes.settings:
        what = f"sluice.toml {changes.config}" if changes.config else "configuration"
        settings = ", ".join(map(format_cell, changes.settings))
        difference = f"changed {settings}" if settings else "no setting changed"
        yield Text(f"  {what}: {difference}", style="cyan")
    if changes.patch:
        yield Text(f"  patch: {format_cell(changes.patch)}", style="cyan")
    if changes.patch_removed:
        yield Text("  patch: removed", style="cyan")
    for sentence in changes.refused:
        yield Text(f"  ! {format_cell(sentence)}", style="red")


def _amendment_line(amendment: Amendment) -> Text:
    """The line about a person's decision and its reason."""
    actions = []
    if amendment.rolled_back_to is not None:
        actions.append(f"rolled back to generation {amendment.rolled_back_to}")
    actions += [
        f"{format_number(len(files))} {kind}"
        for kind, files in (("pinned", amendment.pinned), ("unpinned", amendment.unpinned))
        if files
    ]
    reason = [format_cell(amendment.reason)] if amendment.reason else []
    return Text(
        "  " + ": ".join([", ".join(actions), *reason] if actions else reason), style="cyan"
    )


def _files_by_kind(commit: Commit) -> Iterator[tuple[str, Sequence[str]]]:
    yield "added", commit.added
    yield "replaced", commit.replaced
    yield "removed", commit.removed
    yield "rejected", commit.rejected


def _file_lines(kind: str, files: Sequence[str], *, all_files: bool) -> Iterator[Text]:
    listed = files if all_files else files[:_FILES_SHOWN_MAX]
    for file in listed:
        yield render_file_line(kind, file)
    if len(listed) < len(files):
        yield Text(f"    and {format_number(len(files) - len(listed))} more {kind}", style="dim")
