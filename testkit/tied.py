"""``python -m testkit.tied COMMAND…``: run a command until standard input ends, then end it.

So a server ends even if the process that started it is killed, for that closes the pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from threading import Event, Thread

_STDIN = 0
_POLL_SECONDS = 0.1
_STOP_SECONDS_MAX = 2.0
"""What runs here keeps nothing that a hasty end could harm."""


def main() -> int:
    """Run the command that the arguments are; its exit code, or 0 where it was ended from here."""
    stopped = Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who holds the pipe
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopped.set())
    Thread(target=_wait_for_end_of_input, args=[stopped], daemon=True).start()
    # In a session of its own, so that Ctrl-C does not reach it.
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    while not stopped.wait(_POLL_SECONDS):
        if (code := process.poll()) is not None:
            return code
    process.terminate()
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return 0


def _wait_for_end_of_input(stopped: Event) -> None:
    while os.read(_STDIN, 1024):  # sys.stdin would be locked while the interpreter ends
        pass
    stopped.set()


if __name__ == "__main__":
    sys.exit(main())
