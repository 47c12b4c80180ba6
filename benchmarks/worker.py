"""A process that is measured: one function of sluice as Lambda runs it, or rattler-index.

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
from types import ModuleType
from typing import Any

FUNCTIONS = Path(__file__).parents[1] / "functions"
RATTLER_INDEX = "rattler-index"
SLUICE_INDEX = "sluice index"
TIMEOUTS_SECONDS = {"extract": 300, "merge": 300, "reconcile": 900}
"""Of the functions, as the template has them."""


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


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What a handler may ask of the Lambda runtime."""

    function_name: str
    deadline: float
    """On the monotonic clock."""
    memory_limit_in_mb: int = 1769
    function_version: str = "$LATEST"

    @property
    def invoked_function_arn(self) -> str:
        """The ARN, made up."""
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"

    @property
    def aws_request_id(self) -> str:
        """A new id each time; nothing depends on it."""
        return str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        """As much as is left until the function would be stopped."""
        return int(1000 * (self.deadline - time.monotonic()))


def measure(run: Callable[[], Any]) -> Usage:
    """Run and tell what it took."""
    started, cpu = time.monotonic(), _cpu_seconds()
    answer = run()
    return Usage(
        started=started,
        wall_s=time.monotonic() - started,
        cpu_s=_cpu_seconds() - cpu,
        peak_mib=peak_bytes() / 2**20,
        answer=answer,
    )


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would do, but on Linux it begins with what the parent had at the fork.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        assert found
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Import the subject and serve."""
    (name,) = sys.argv[1:]
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        subject: Callable[[Any], Any] | None = None

        def load() -> None:
            nonlocal subject
            subject = _tools().get(name, lambda: _handler(name))()

        print(json.dumps(asdict(measure(load))), file=answers)
        assert subject
        for line in sys.stdin:
            argument = json.loads(line)
            print(json.dumps(asdict(measure(lambda: subject(argument)))), file=answers)  # noqa: B023 - runs at once


def _handler(name: str) -> Callable[[Any], Any]:
    module = _load(FUNCTIONS / name / "app.py")

    def handle(event: Any) -> Any:
        deadline = time.monotonic() + TIMEOUTS_SECONDS[name]
        return module.handler(event, LambdaContext(name, deadline))

    return handle


def _load(path: Path) -> ModuleType:
    """Import a file by its path, as Lambda does with a handler's."""
    spec = importlib.util.spec_from_file_location("app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["app"] = module
    spec.loader.exec_module(module)
    return module


def _tools() -> dict[str, Callable[[], Callable[[Any], Any]]]:
    return {RATTLER_INDEX: _rattler_index, SLUICE_INDEX: _sluice_index}


def _sluice_index() -> Callable[[Any], Any]:
    from msgspec import to_builtins  # noqa: PLC0415 - the import is measured

    from sluice.admin.session.address import Address  # noqa: PLC0415
    from sluice.admin.session.aws import Aws  # noqa: PLC0415
    from sluice.admin.session.connect import Opener  # noqa: PLC0415
    from sluice.admin.standalone.index import index  # noqa: PLC0415
    from sluice.admin.standalone.reader_choice import best_readers  # noqa: PLC0415

    def run(arguments: Any) -> Any:
        opener = Opener(Aws(), state=arguments["state"])
        channel = opener.channel(Address.parse(arguments["channel_url"]))
        return to_builtins(index(channel, readers=best_readers(opener.aws, channel)))

    return run


def _rattler_index() -> Callable[[Any], Any]:
    from rattler.index import S3Credentials, index_s3  # noqa: PLC0415 - the import is measured

    credentials = S3Credentials(
        endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
        region=os.environ["AWS_REGION"],
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        addressing_style="path",
    )
    return lambda arguments: asyncio.run(index_s3(credentials=credentials, **arguments))


if __name__ == "__main__":
    main()
