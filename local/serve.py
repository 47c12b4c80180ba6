"""Run MiniStack in this process.  A script rather than a module, see ``local.emulator``."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Serve until SIGTERM or, with ``--tied``, until standard input ends."""
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
