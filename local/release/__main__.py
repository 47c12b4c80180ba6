"""``python -m local.release``: makes a release, and checks it with standard tools."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local.release.checks import check_release
from local.release.errors import BuildError
from local.release.functions import Target
from local.release.release import make_release
from local.stack import ROOT

_RUNTIMES = ("python3.11", "python3.12", "python3.13", "python3.14")
_ARCHITECTURES = ("arm64", "x86_64")


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m local.release", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--runtimes", nargs="+", choices=_RUNTIMES, default=_RUNTIMES)
    parser.add_argument(
        "--architectures", nargs="+", choices=_ARCHITECTURES, default=_ARCHITECTURES
    )
    parser.add_argument("--tools", type=Path, default=ROOT / ".venv-release")
    options = parser.parse_args()
    os.umask(0o022)
    targets = [Target(one, other) for one in options.runtimes for other in options.architectures]
    try:
        release = make_release(options.output, targets, say=print)
    except (BuildError, FileExistsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    problems = check_release(release.folder, options.tools)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    print(release.folder)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
