"""``run_exports.json`` (CEP 12), from which builders read run exports without the packages.

It is spliced and rendered as ``repodata.json`` is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from sluice.catalog.client_view import ClientView
from sluice.catalog.entry import Entries
from sluice.conda.names import split_by_archive
from sluice.errors import DECODE_ERRORS, Corrupt
from sluice.publish.fence import Stamp

_VERSION = 1
"""Version of the file format, in conda-index's numbering."""


@dataclass(slots=True)
class RunExportsContents:
    """The run exports of files."""

    packages: dict[str, msgspec.Raw] = field(default_factory=dict)
    """Raw JSON of ``{"run_exports": ...}`` by filename, both archive formats together."""

    def add(self, view: ClientView) -> None:
        """Add the run exports of one name."""
        for filename, exports in view.run_exports.items():
            raw = msgspec.json.encode({"run_exports": exports}, order="sorted")
            self.packages[filename] = msgspec.Raw(raw)

    def drop(self, entries: Entries) -> None:
        """Remove the run exports of some entries."""
        for filename in entries:
            self.packages.pop(filename, None)


class _PackageMaps(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: dict[str, msgspec.Raw]
    packages_conda: dict[str, msgspec.Raw]


class _RunExports(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: dict[str, str | int]
    packages: dict[str, msgspec.Raw]
    packages_conda: dict[str, msgspec.Raw]
    sluice: dict[str, int | str]


def render_run_exports(contents: RunExportsContents, *, subdir: str, stamp: Stamp) -> bytes:
    """Serialize.  ``platform`` and ``arch`` are the parts of the subdir's name (CEP 12)."""
    platform, _, arch = subdir.partition("-")
    packages, packages_conda = split_by_archive(contents.packages)
    return msgspec.json.encode(
        _RunExports(
            info={"arch": arch, "platform": platform, "subdir": subdir, "version": _VERSION},
            packages=packages,
            packages_conda=packages_conda,
            sluice=stamp.body,
        )
    )


def decode_run_exports(body: bytes) -> RunExportsContents:
    """Parse the result of ``render_run_exports``."""
    try:
        files = msgspec.json.decode(body, type=_PackageMaps)
    except DECODE_ERRORS as error:
        raise Corrupt(f"not a run_exports.json that sluice wrote: {error}") from error
    return RunExportsContents({**files.packages, **files.packages_conda})
