"""``python -m tests.conformance.client_matrix [CLIENT ...]``: run them, and write the page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.client_matrix.cells import run
from tests.conformance.client_matrix.channels import published
from tests.conformance.client_matrix.clients import ALL, CannotRunError
from tests.conformance.client_matrix.environments import prepare
from tests.conformance.client_matrix.page import PAGE, Row, render


def main(names: Sequence[str]) -> None:
    """Run the clients of these names, all if there are none; raises ``CannotRunError``."""
    if unknown := set(names) - ALL.keys():
        raise CannotRunError(
            f"there is no client {', '.join(sorted(unknown))}; there are {', '.join(ALL)}"
        )
    wanted = [name for name in ALL if name in (names or ALL)]
    clients = [client for name in wanted for client in ALL[name]()]
    for client in clients:
        prepare(client.environment)
    rows = []
    with TemporaryDirectory(prefix="clients-") as name, published(Path(name)) as places:
        for client in clients:
            cells = {}
            for (transport, wanted_format), cell in run(client, places):
                print(client.name, client.version, transport, wanted_format, *cell, flush=True)
                cells[transport, wanted_format] = cell
            rows.append(Row(client.name, client.version, client.from_where, cells))
    PAGE.write_text(render(rows, datetime.now(UTC).date()))
    print(PAGE)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CannotRunError as error:
        sys.exit(str(error))
