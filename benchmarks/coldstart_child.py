"""One cold start of one function, in an interpreter that has nothing but the layer.

``python coldstart_child.py <folder of app.py> <event as JSON>`` imports the handler as Lambda
does, tells when it began and when the handler was there (on the machine's monotonic clock), and
then hands the event to the handler.  It imports nothing of ours beside the handler.
"""

import time

STARTED = time.monotonic()

import importlib  # noqa: E402 - the clock comes first
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import types  # noqa: E402

CONTEXT = types.SimpleNamespace(
    function_name="coldstart",
    function_version="$LATEST",
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:coldstart",
    memory_limit_in_mb=1769,
    aws_request_id="coldstart",
    get_remaining_time_in_millis=lambda: 300_000,
)


def main() -> None:
    """Import, tell, handle."""
    folder, event = sys.argv[1:]
    sys.path.insert(0, folder)
    handler = importlib.import_module("app").handler
    wall_s, cpu_s = time.monotonic() - STARTED, time.process_time()
    times = {"started": STARTED, "wall_s": wall_s, "cpu_s": cpu_s}
    os.write(sys.stdout.fileno(), json.dumps(times).encode())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the handler prints
    handler(json.loads(event), CONTEXT)


if __name__ == "__main__":
    main()
