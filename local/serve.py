"""Run MiniStack in this process.  A script rather than a module, see ``local.emulator``."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

# MiniStack takes what a function has logged until nothing has come for 5 ms, which is as long as a
# thread may wait for its turn by default: on a busy machine, lines would be missing.
SWITCH_INTERVAL_SECONDS = 0.0005


def main() -> None:
    """Serve until SIGTERM or, with ``--tied``, until standard input ends."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    if "--tied" in sys.argv:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__")


def _end_with_parent() -> None:
    # The other end of the pipe is held by the process that started this one.  However that ends,
    # even killed, the pipe is closed then.
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


main()
