"""``python -m local up | down | demo | invoke``: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local import demo, invoke, stack
from local.emulator import EmulatorError
from local.stack import HOME, StackError

_ERRORS = (EmulatorError, StackError, demo.DemoError, invoke.InvokeError)


def main() -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the stack and leave it running")
    commands.add_parser("down", help="stop the running stack")
    commands.add_parser("demo", help="upload packages, index them, and install one")
    invoking = commands.add_parser("invoke", help="run sam local invoke against the running stack")
    invoking.add_argument("function", choices=sorted(invoke.FUNCTIONS))
    invoking.add_argument("event", nargs="*", type=Path, help="default: all events of the function")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "up":
                _up()
            case "down":
                print("stopped" if stack.stop_stack(HOME) else "the stack is not running")
            case "demo":
                demo.run()
            case "invoke":
                invoke.run(arguments.function, arguments.event)
    except _ERRORS as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return 0


def _up() -> None:
    started = stack.start_stack(
        HOME,
        debounce_seconds=_whole("DEBOUNCE_SECONDS") or demo.DEBOUNCE_SECONDS,
        parameters=_parameters(os.environ.get("PARAMS", "")),
        port=_whole("LOCAL_PORT"),
        say=lambda line: print(line, flush=True),
    )
    print("\nTo use the stack in this shell, run:")
    print(f"  set -a; . {(HOME / stack.STACK_ENV).relative_to(Path.cwd())}; set +a")
    print(f"Upload packages to s3://{started.channel_bucket}/<channel>/<subdir>/")
    print("To stop the stack, run: make local-down")


def _whole(name: str) -> int | None:
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise StackError(f"{name} must be a whole number, not {text!r}")
    return int(text) if text else None


def _parameters(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split()]
    if not all(sign for _, sign, _ in pairs):
        raise StackError(f'PARAMS must be "Key=Value Key=Value ...", not {text!r}')
    return {key: value for key, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main())
