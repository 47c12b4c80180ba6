"""What ``testkit.tied`` runs ends with the one who started it, whatever happens to that one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from testkit.child_process import ROOT

SLEEP = "exec sleep 600"
STUBBORN = "trap '' TERM; while :; do sleep 600 & wait; done"


@contextmanager
def tied(script: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A shell script, and the process id of the shell."""
    with subprocess.Popen(
        [sys.executable, "-m", "testkit.tied", "/bin/sh", "-c", f"echo $$; {script}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        yield process, int(process.stdout.readline())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def close_input(process: subprocess.Popen[bytes]) -> None:
    """What happens where the process that started it is killed."""
    assert process.stdin
    process.stdin.close()


@pytest.mark.parametrize("script", [SLEEP, STUBBORN], ids=["obedient", "stubborn"])
@pytest.mark.parametrize("end", [close_input, subprocess.Popen.terminate], ids=["input", "signal"])
def test_it_ends_with_the_input_and_by_a_signal(
    script: str, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    with tied(script) as (process, pid):
        assert is_running(pid)
        end(process)
        assert process.wait(30) == 0
        assert not is_running(pid)


def test_ctrl_c_leaves_the_end_to_the_one_who_holds_the_pipe() -> None:
    with tied(SLEEP) as (process, pid):
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        assert is_running(pid)
        close_input(process)
        assert process.wait(30) == 0


def test_what_ends_by_itself_is_not_outlived() -> None:
    with tied("exit 3") as (process, _):
        assert process.wait(30) == 3
