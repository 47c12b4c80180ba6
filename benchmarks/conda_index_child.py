"""One run of conda-index, measured: ``python -m benchmarks.conda_index_child <folder>``.

Runs in an environment of its own, which has nothing but conda-index.  Answers with one line of
JSON; what conda-index prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from benchmarks.worker import measure
from tests.support.run_conda_index import main as run

_OPTIONS = {"write_bz2": False}
"""What the others do not write, either."""


def main() -> None:
    """Index the folder."""
    (folder,) = sys.argv[1:]
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        print(json.dumps(asdict(measure(lambda: run(folder, json.dumps(_OPTIONS))))), file=answers)


if __name__ == "__main__":
    main()
