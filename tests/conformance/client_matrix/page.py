"""``docs/reference/clients.md``: what each client was seen to do."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tests.conformance.client_matrix.cells import Cell, Verdict
from tests.conformance.client_matrix.channels import FORMATS, TRANSPORTS
from tests.conformance.client_matrix.clients import ALL, NOT_HAD

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "clients.md"
Key = tuple[str, str]
"""Transport and format."""


class Row(NamedTuple):
    """A client in one version."""

    name: str
    version: str
    from_where: str
    cells: Mapping[Key, Cell]


_HEAD = """\
# Clients

Which clients read what sluice publishes, over which transport, from which format. This page is
generated: `make clients` has `sluice index` index one channel in three forms, serves them from the
S3 server of `testkit`, over HTTPS with a certificate authority of its own and as a folder, and runs
every client in every cell. A cell is one solve and one install from empty caches, in a process of
its own, with the client's own defaults. What succeeds over s3 is run again on SeaweedFS, which
checks signatures. Last run on {date}, on {system}, with Python {python}.

The forms are those of [`sluice.toml`](../configuration.md): with everything (*shards*), with
`write-shards = false` (*zst*), and with `write-zst = false`, too (*json*). Clients choose the
format themselves, and the servers' logs show which one they read. A folder has no log, so clients
are run again there on copies in which all formats but one are empty.

- ✓: solved and installed from the format of that column; every file that the packages install and
  every record of them was there afterwards.
- ✓ *zst*: solved and installed, but from `repodata.json.zst`; ✓ *json* the same, from
  `repodata.json`.
- ✗: failed; the number leads to the last line that the client said.

| client | version | from | {columns} |
|---|---|---|{aligned}|
"""
_FAILURES = """
## What failed, and why

"""
_NOT_RUN = """
## Not run

"""
_NOTES = """
## Notes

- conda is run from a checkout of its source, because registries have only versions of long ago. It
  has boto3 beside it, which it needs for `s3://`. Its own solver (classic) reads no shards. Its
  default, conda-libmamba-solver, is not on PyPI and was not run.
- conda-lock has that conda solve and install, so it reads what that conda reads.
- `@conda-org/rattler` is WebAssembly: it solves and installs nothing. It sees no files, and sends
  requests with `fetch`, which knows no `s3://`. Its ticks are for solves alone.
- For an S3 that is not AWS's, py-rattler takes the address from `S3Config`, and conda, which uses
  boto3, from `AWS_ENDPOINT_URL`.
- A short-lived process of py-rattler may be ended by a signal while Python shuts down, after all is
  installed ([pyo3-async-runtimes, issue 40](https://github.com/PyO3/pyo3-async-runtimes/issues/40)).
  It was seen in about a quarter of the runs of each of these versions, so here the process leaves
  without Python's own end.
"""


def render(rows: Sequence[Row], today: date) -> str:
    """The whole page."""
    keys = [(transport, name) for transport in TRANSPORTS for name in FORMATS]
    failures = _failures(rows)
    page = _HEAD.format(
        date=today.isoformat(),
        system=f"{platform.system()} {platform.machine()}",
        python=".".join(platform.python_version_tuple()[:2]),
        columns=" | ".join(f"{transport}, {name}" for transport, name in keys),
        aligned="|".join([":-:"] * len(keys)),
    )
    for row in rows:
        cells = " | ".join(_cell_text(row.cells[key], key, failures) for key in keys)
        page += f"| {row.name} | {row.version} | {row.from_where} | {cells} |\n"
    if failures:
        page += _FAILURES
        page += "".join(f"{number}. `{line}`\n" for line, number in failures.items())
    page += _NOT_RUN + "".join(f"- {line}\n" for line in _not_run(rows))
    return page + _NOTES


def _failures(rows: Sequence[Row]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for row in rows:
        for cell in row.cells.values():
            if cell.verdict == Verdict.FAILED:
                numbers.setdefault(cell.line, len(numbers) + 1)
    return numbers


def _cell_text(cell: Cell, key: Key, failures: Mapping[str, int]) -> str:
    if cell.verdict == Verdict.FAILED:
        return f"✗ [{failures[cell.line]}](#what-failed-and-why)"
    tick = "✓" if cell.verdict == Verdict.INSTALLED else "✓ (solve)"
    if list(cell.read) == [key[1]]:
        return tick
    return f"{tick} *{', '.join(cell.read) or 'unknown'}*"


def _not_run(rows: Sequence[Row]) -> Iterator[str]:
    run = {row.name for row in rows}
    for name in ALL:
        if name not in run:
            yield f"{name}: not asked for in `CLIENTS`."
    for name, reason in NOT_HAD.items():
        yield f"{name}: {reason}."
