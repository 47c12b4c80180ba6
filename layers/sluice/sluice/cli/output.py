"""How commands answer: a table, or JSON with ``--json``; errors are one line on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

T = TypeVar("T")

_PIPED_COLUMNS = 2000


@dataclass(frozen=True)
class Output:
    """Where one command's answer goes."""

    json: bool = False

    def print_result(self, result: T, render: Callable[[T], RenderableType]) -> None:
        """Print a result: as JSON, or as ``render`` makes it."""
        if self.json:
            body = msgspec.json.format(msgspec.json.encode(result, enc_hook=_to_plain), indent=2)
            sys.stdout.write(body.decode() + "\n")
        else:
            self.console.print(render(result))

    def print_line(self, result: T, render: Callable[[T], RenderableType]) -> None:
        """Print one of many results that come one after the other: a line of JSON each."""
        if self.json:
            sys.stdout.write(msgspec.json.encode(result, enc_hook=_to_plain).decode() + "\n")
            sys.stdout.flush()
        else:
            self.console.print(render(result))

    def note(self, text: str) -> None:
        """Say something on the way that is no part of the answer."""
        self.errors.print(text, style="dim", markup=False, highlight=False)

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show on the terminal that work goes on, and what is said of it meanwhile."""
        with self.errors.status(Text(text)) as status:
            yield lambda message: status.update(Text(message))

    @cached_property
    def console(self) -> Console:
        """The terminal, or the file, that takes answers."""
        return Console(highlight=False, width=_width())

    @cached_property
    def errors(self) -> Console:
        """The same for what is no answer: errors, notes and progress bars."""
        return Console(stderr=True, highlight=False)


def table(*columns: str, rows: Iterable[Iterable[object]], right: Iterable[str] = ()) -> Table:
    """A plain table.  Nothing in the cells is markup; the columns in ``right`` hold numbers."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    numbers = set(right)
    for column in columns:
        result.add_column(
            column,
            justify="right" if column in numbers else "left",
            overflow="fold",
            no_wrap=column in numbers,
        )
    for row in rows:
        result.add_row(*[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row])
    return result


def _width() -> int | None:
    """``None`` for that of the terminal; lines that go elsewhere are not wrapped."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_COLUMNS


def _to_plain(value: Any) -> Any:
    """What msgspec leaves to us: mappings that are no ``dict``, and the like."""
    if isinstance(value, Iterable):
        return list(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")
