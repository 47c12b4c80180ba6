"""``python -m testkit.s3_server``: print the port, then serve until the process is ended."""

from __future__ import annotations

import argparse
import asyncio

from testkit.s3_server.conditions import Deviation
from testkit.s3_server.listing import PAGE_KEYS_MAX
from testkit.s3_server.server import Server


async def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m testkit.s3_server", description=__doc__)
    parser.add_argument(
        "--page-size", type=int, default=PAGE_KEYS_MAX, help="keys per page of a listing, at most"
    )
    parser.add_argument(
        "--deviation",
        type=Deviation,
        choices=[*Deviation],
        action="append",
        default=[],
        help="what to do otherwise than AWS; may be given more than once",
    )
    options = parser.parse_args()
    server = await Server(page_size=options.page_size, deviations=options.deviation).listen()
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
