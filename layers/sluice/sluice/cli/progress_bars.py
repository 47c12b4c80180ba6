"""Shows progress bars on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sluice.admin.session.progress import Step
from sluice.cli.output import Output


class Bars:
    """``session.progress.Progress`` on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {
            step: progress.add_task(step.value, total=None, visible=False) for step in Step
        }

    def expect(self, step: Step, count: int) -> None:
        """See ``Progress.expect``."""
        task = self._tasks[step]
        total = self._progress.tasks[task].total or 0
        self._progress.update(task, total=total + count, visible=total + count > 0)

    def done(self, step: Step, count: int) -> None:
        """See ``Progress.done``."""
        self._progress.update(self._tasks[step], advance=count, visible=True)


@contextmanager
def bars(output: Output) -> Iterator[Bars]:
    """Show bars while in the context, if there is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=output.errors, transient=True, disable=not output.errors.is_terminal
    ) as progress:
        yield Bars(progress)
