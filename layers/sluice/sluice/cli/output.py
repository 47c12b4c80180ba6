"""Prints results: as a table, or as JSON with ``--json``; errors are one line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sluice.cli.console import make_console
from sluice.cli.json_document import encode_json

T = TypeVar("T")

_ANY_WIDTH = 2000
"""The columns in which a table is measured."""


@dataclass(frozen=True)
class Output:
    """The output of one command."""

    json: bool = False

    def print_result(self, result: T, render: Callable[[T], RenderableType]) -> None:
        """Print a result: as JSON, or in the form of ``render``."""
        if self.json:
            body = msgspec.json.format(encode_json(result), indent=2)
            sys.stdout.write(body.decode() + "\n")
        else:
            self.console.print(render(result), crop=False)

    def print_line(self, result: T, render: Callable[[T], RenderableType]) -> None:
        """Print one of many results as a line: with ``--json``, a line of JSON."""
        if self.json:
            sys.stdout.write(encode_json(result).decode() + "\n")
            sys.stdout.flush()
        else:
            self.console.print(render(result), crop=False)

    def note(self, text: str) -> None:
        """Print a message that is no part of the result."""
        self.errors.print(text, style="dim", markup=False, highlight=False)

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show on the terminal that work is in progress, with messages about it."""
        with self.errors.status(Text(text)) as status:
            yield lambda message: status.update(Text(message))

    @property
    def console(self) -> Console:
        """The terminal, or the file, for results."""
        return make_console(wraps=False)

    @property
    def errors(self) -> Console:
        """The console for errors, notes and progress bars."""
        return make_console(stderr=True)


@dataclass(frozen=True)
class FittingTable:
    """A plain table; where it does not fit into the terminal, a few lines for each row.

    No width loses the first column, which says what a row is about, or the column ``state``.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    right: AbstractSet[str]
    """The columns with right-aligned numbers."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as a table or as lines, see rich."""
        whole = self._as_table()
        unlimited = options.update(width=_ANY_WIDTH)
        if console.measure(whole, options=unlimited).maximum <= options.max_width:
            yield whole
        else:
            for row in self.rows:
                yield from self._as_lines(row)

    def _as_table(self) -> Table:
        result = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in self.columns:
            result.add_column(
                column,
                justify="right" if column in self.right else "left",
                overflow="fold",
                no_wrap=column in self.right,
            )
        for row in self.rows:
            result.add_row(*row)
        return result

    def _as_lines(self, row: Sequence[Text]) -> Iterator[RenderableType]:
        cells = dict(zip(self.columns[1:], row[1:], strict=True))
        state = cells.pop(STATE, None)
        title = Text(style="bold").append_text(row[0])
        yield Text("  ", overflow="fold").join(filter(None, [title, state]))
        numbers = [f"{name} {cell}" for name, cell in cells.items() if name in self.right and cell]
        lines = [", ".join(numbers)] if numbers else []
        lines += [f"{name}: {cell}" for name, cell in cells.items() if name not in self.right]
        for line in lines:
            yield Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False)


STATE = "state"
"""The column that stands beside the first one where a table does not fit."""


def table(
    *columns: str, rows: Iterable[Iterable[object]], right: Iterable[str] = ()
) -> FittingTable:
    """A plain table.  Cells have no markup; the columns in ``right`` are right-aligned numbers."""
    cells = [[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row] for row in rows]
    return FittingTable(columns, cells, frozenset(right))
