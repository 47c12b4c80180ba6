"""What is measured: a module for each operation, by its name on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.measures import (
    burst,
    first_import,
    index,
    overwrite,
    patch,
    removal,
    take_over,
    upload,
)
from benchmarks.stage import Plan, Samples, Stage

MEASURES: Mapping[str, Callable[[Stage, Plan], Samples]] = {
    "take-over": take_over.measure,
    "upload": upload.measure,
    "overwrite": overwrite.measure,
    "removal": removal.measure,
    "burst": burst.measure,
    "patch": patch.measure,
    "import": first_import.measure,
    "index": index.measure,
}
"""In the order in which they are carried out; ``take-over`` prepares the others."""
