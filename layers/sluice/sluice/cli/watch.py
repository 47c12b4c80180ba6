"""The command ``sluice watch``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Annotated, NoReturn

from cyclopts import Parameter
from cyclopts.validators import Number

from sluice.admin.session.address import Address
from sluice.admin.standalone.index import options_from_stack
from sluice.admin.watch.allocator import keep_memory_small
from sluice.admin.watch.authentication import Credentials
from sluice.cli.exits import Exit
from sluice.cli.options import DEFAULTS, FLAG, Options
from sluice.errors import Misconfigured
from sluice.limits import WATCH_DEBOUNCE_SECONDS, WATCH_POLL_SECONDS_MIN

TOKEN_VARIABLE = "SLUICE_WATCH_TOKEN"  # noqa: S105 - its name
USER_VARIABLE = "SLUICE_WATCH_USER"
_REQUIRED = ("prometheus_client", "uvicorn")


def watch(  # noqa: PLR0913 - each is an option of the command line
    *channels: Annotated[str, Parameter(required=True)],
    poll: Annotated[float | None, Parameter(validator=Number(gte=WATCH_POLL_SECONDS_MIN))] = None,
    debounce: Annotated[float, Parameter(validator=Number(gte=0))] = WATCH_DEBOUNCE_SECONDS,
    listen: str = "127.0.0.1:8080",
    allow_anonymous: Annotated[bool, FLAG] = False,
    leader: Annotated[bool, FLAG] = False,
    beside_stack: Annotated[bool, FLAG] = False,
    distrust_uploaders: Annotated[bool, FLAG] = False,
    options: Options = DEFAULTS,
) -> Exit:
    """Keep channels indexed without a stack, from events and from regular listings.

    Works with every S3 server that supports conditional writes, and repeats what sluice index does.
    Receives the events of the S3 server by HTTP (POST /events), and serves GET /healthz, /readyz
    and /metrics. SIGHUP starts a listing. SIGTERM stops the process within 20 seconds. The process
    may be killed at any time, and several may run at once. With --json, the log consists of JSON
    lines.

    Parameters
    ----------
    channels
        Addresses of the channels: s3://bucket/channel.
    poll
        Seconds between two listings. Default: 300, or 30 if the process receives no events.
    debounce
        Length of the debounce window in seconds. A single upload is indexed at once, the rest of a
        burst at the end of the window.
    listen
        Address and port for HTTP. Senders of events authenticate with the bearer token in
        SLUICE_WATCH_TOKEN, or with the name:password in SLUICE_WATCH_USER.
    allow_anonymous
        Accept events without authentication from anyone who can reach the port.
    leader
        Of all processes that watch the same channels, only one works. Another one takes over after
        it has been silent for 45 seconds.
    beside_stack
        Watch channels even if a stack indexes them.
    distrust_uploaders
        Read whole packages instead of trusting the digests that rattler-build stores with them.
    """
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise Misconfigured(
            f"sluice watch needs packages that are not installed: {' and '.join(missing)}. Install "
            'them with: pip install "conda-sluice[watch]"'
        )
    keep_memory_small()  # before there are threads
    # They need what is not installed with every command line.
    from sluice.admin.watch.journal import Journal  # noqa: PLC0415
    from sluice.admin.watch.watch import Watch, WatchOptions  # noqa: PLC0415

    opened = [options.opener.channel(Address.parse(address)) for address in channels]
    index_options = options_from_stack(opened[0].stack)
    if distrust_uploaders:
        index_options = replace(index_options, trust_uploader_digests=False)
    settings = WatchOptions(
        poll_seconds=poll,
        debounce_seconds=debounce,
        listen=listen,
        credentials=Credentials(os.environ.get(TOKEN_VARIABLE), os.environ.get(USER_VARIABLE)),
        anonymous=allow_anonymous,
        leader=leader,
        beside_stack=beside_stack,
        index=index_options,
    )
    process = Watch(opened, settings, Journal(json=options.json, clock=opened[0].clock))
    _on_signals(stop=_leave, list_now=lambda: None)  # nothing is under way yet
    process.prepare()
    _on_signals(stop=process.stop, list_now=process.list_now)
    process.run()
    _leave()


def _on_signals(*, stop: Callable[[], None], list_now: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    if hasattr(signal, "SIGHUP"):  # Windows has none
        signal.signal(signal.SIGHUP, lambda *_: list_now())


def _leave() -> NoReturn:
    """Exit, but not by way of Python's end, which waits for threads that wait for S3."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Exit.OK)
