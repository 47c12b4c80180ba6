"""A process that is measured: one function of sluice as Lambda runs it, or a tool.

``python -m benchmarks.worker <subject>`` imports what the subject needs, then runs it once for
each line of JSON on stdin and answers with one line of JSON on stdout: wall and CPU seconds of
that run and the peak memory of the process so far.  The first line tells the same of the
imports.  A process's first run is a cold one, every other a warm one.  What the subject
itself prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import resource
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FUNCTIONS = Path(__file__).parents[1] / "functions"
RATTLER_INDEX = "rattler-index"
SLUICE_INDEX = "sluice index"
CONDA_INDEX = "conda-index"
TIMEOUTS_SECONDS = {"extract": 300, "merge": 300, "reconcile": 900}
"""Of the functions, as the template has them."""

Run = Callable[[Any], Any]
"""The subject: takes a line's JSON, returns what can be one."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run took."""

    started: float
    """On the machine's monotonic clock, which all its processes share."""
    wall_s: float
    cpu_s: float
    """User and system time of all threads, and of processes that it has started and that ended."""
    peak_mib: float
    """Peak resident memory of the process, interpreter and libraries included."""
    answer: Any = None
    """What the subject returned."""


def measure(run: Callable[[], Any]) -> Usage:
    """Run, and measure what it takes."""
    started, cpu = time.monotonic(), _cpu_seconds()
    answer = run()
    wall_s, cpu_s = time.monotonic() - started, _cpu_seconds() - cpu
    return Usage(started, wall_s, cpu_s, _peak_bytes() / 2**20, answer)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak_bytes() -> int:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would do, but on Linux it begins with what the parent had at the fork.
        match = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        assert match
        return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Import the subject and serve."""
    (name,) = sys.argv[1:]
    tools = {RATTLER_INDEX: _rattler_index, SLUICE_INDEX: _sluice_index, CONDA_INDEX: _conda_index}
    subjects: list[Run] = []
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

        def load() -> None:
            subjects.append(tools[name]() if name in tools else _handler(name))

        def answer(usage: Usage) -> None:
            print(json.dumps(asdict(usage)), file=answers)

        answer(measure(load))
        for line in sys.stdin:
            argument = json.loads(line)
            answer(measure(lambda: subjects[0](argument)))  # noqa: B023 - runs at once


def _handler(name: str) -> Run:
    """Import a handler by its file's path, as Lambda does."""
    spec = importlib.util.spec_from_file_location("app", FUNCTIONS / name / "app.py")
    assert spec
    assert spec.loader
    module = sys.modules["app"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def handle(event: Any) -> Any:
        deadline = time.monotonic() + TIMEOUTS_SECONDS[name]
        context = SimpleNamespace(
            function_name=name,
            function_version="$LATEST",
            invoked_function_arn=f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            memory_limit_in_mb=1769,
            aws_request_id=str(uuid.uuid4()),
            get_remaining_time_in_millis=lambda: int(1000 * (deadline - time.monotonic())),
        )
        return module.handler(event, context)

    return handle


def _sluice_index() -> Run:
    from msgspec import to_builtins  # noqa: PLC0415 - the import is measured

    from sluice.admin.session.address import Address  # noqa: PLC0415
    from sluice.admin.session.aws import Aws  # noqa: PLC0415
    from sluice.admin.session.connect import Opener  # noqa: PLC0415
    from sluice.admin.standalone.index import index  # noqa: PLC0415
    from sluice.admin.standalone.reader_choice import choose_readers  # noqa: PLC0415

    def run(arguments: Any) -> Any:
        opener = Opener(Aws(), state=arguments["state"])
        channel = opener.channel(Address.parse(arguments["channel_url"]))
        return to_builtins(index(channel, readers=choose_readers(opener.aws, channel)))

    return run


def _rattler_index() -> Run:
    from rattler.index import S3Credentials, index_s3  # noqa: PLC0415 - the import is measured

    credentials = S3Credentials(
        endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
        region=os.environ["AWS_REGION"],
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        addressing_style="path",
    )
    return lambda arguments: asyncio.run(index_s3(credentials=credentials, **arguments))


def _conda_index() -> Run:
    """Runs in an environment of its own, which has nothing but conda-index."""
    from testkit.run_conda_index import main as run  # noqa: PLC0415

    # The others do not write bz2, either.
    return lambda folder: run(folder, json.dumps({"write_bz2": False}))


if __name__ == "__main__":
    main()
