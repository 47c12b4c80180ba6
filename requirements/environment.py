"""``python requirements/environment.py FOLDER FILE [PIP OPTION ...]``: a virtual environment.

Makes the environment in FOLDER that has the packages of FILE, unless it is there.  Whether it is
current is decided by a digest of FILE, of Python's version and of the options: the time of a file
changes with every checkout.  An environment in this clone that is not current is made again from
nothing.  One outside of it belongs to somebody else, and nothing is ever cleared there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
DIGEST_FILE = ".requirements-digest"
PYTHON_MIN = (3, 11)
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
"""Bytecode is made where it is needed."""
PINNED = ("--no-deps", "--require-hashes")
"""Wheels are pinned, so nothing is resolved."""

_INCOMPLETE = "incomplete"
"""In place of the digest while packages are installed."""


def requirements_digest(requirements: Path, options: Sequence[str]) -> str:
    """The digest of all that decides what is in an environment."""
    digest = sha256(requirements.read_bytes())
    digest.update("\0".join([sys.version.split()[0], *options]).encode())
    return digest.hexdigest()


def ensure_environment(folder: Path, requirements: Path, options: Sequence[str]) -> str | None:
    """Make the environment if need be; a sentence if that is not for us to do."""
    wanted = requirements_digest(requirements, options)
    recorded = folder / DIGEST_FILE
    if recorded.is_file() and recorded.read_text(encoding="ascii") == wanted:
        return None
    is_ours = CLONE in folder.resolve().parents
    if folder.exists() and not is_ours and any(folder.iterdir()):
        if not recorded.is_file():  # somebody else has made it, for whatever
            sys.stderr.write(f"{folder} lies outside of {CLONE}, and is used as it is.\n")
            return None
        return (
            f"{folder} lies outside of {CLONE}, so it is not cleared, and it is not made of "
            f"{requirements} as that is now. Delete it yourself, or name another one."
        )
    sys.stdout.write(f"Creating {folder}, about a minute ...\n")
    sys.stdout.flush()
    clear = ["--clear"] if is_ours else []
    subprocess.run([sys.executable, "-m", "venv", *clear, str(folder)], check=True)
    recorded.write_text(_INCOMPLETE, encoding="ascii")
    python = str(folder / "bin" / "python")
    subprocess.run([python, *INSTALL, *PINNED, *options, "-r", str(requirements)], check=True)
    recorded.write_text(wanted, encoding="ascii")
    return None


def main(arguments: Sequence[str]) -> int:
    """Run as a command."""
    if sys.version_info < PYTHON_MIN:
        sys.stderr.write("Python 3.11 or newer is needed: make PYTHON=python3.x ...\n")
        return 1
    folder, requirements, *options = arguments
    try:
        problem = ensure_environment(Path(folder), Path(requirements), options)
    except subprocess.CalledProcessError as error:
        problem = f"{folder} could not be made: {error}"
    if problem:
        sys.stderr.write(f"{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
