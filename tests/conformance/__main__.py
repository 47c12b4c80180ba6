"""Write ``docs/conformance.md`` anew."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.indexers import versions
from tests.conformance.table import PAGE, render, run

with TemporaryDirectory() as folder:
    PAGE.write_text(render(run(Path(folder)), versions()))
