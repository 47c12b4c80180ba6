"""``run_exports.json`` (CEP 12): what builders need of packages, without downloading them.

Spliced and rendered as ``repodata.json`` is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from sluice.catalog.client_view import View
from sluice.catalog.entry import Entries
from sluice.conda.names import by_archive
from sluice.errors import DECODE_ERRORS, Corrupt
from sluice.publish.fence import Stamp

_VERSION = 1
"""Of the file, as conda-index numbers it."""


@dataclass(slots=True)
class Contents:
    """The run exports of files."""

    packages: dict[str, msgspec.Raw] = field(default_factory=dict)
    """Raw JSON of ``{"run_exports": ...}`` by filename, both archive formats together."""

    def add(self, shown: View) -> None:
        """Take up those of one name."""
        for filename, exports in shown.run_exports.items():
            raw = msgspec.json.encode({"run_exports": exports}, order="sorted")
            self.packages[filename] = msgspec.Raw(raw)

    def drop(self, entries: Entries) -> None:
        """Forget those of some entries."""
        for filename in entries:
            self.packages.pop(filename, None)


class _Files(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    packages: dict[str, msgspec.Raw]
    packages_conda: dict[str, msgspec.Raw]


class _RunExports(msgspec.Struct, rename={"packages_conda": "packages.conda"}):
    info: dict[str, str | int]
    packages: dict[str, msgspec.Raw]
    packages_conda: dict[str, msgspec.Raw]
    sluice: dict[str, int | str]


def render(contents: Contents, *, subdir: str, stamp: Stamp) -> bytes:
    """Serialise.  ``platform`` and ``arch`` are the parts of the subdir's name (CEP 12)."""
    platform, _, arch = subdir.partition("-")
    packages, packages_conda = by_archive(contents.packages)
    return msgspec.json.encode(
        _RunExports(
            info={"arch": arch, "platform": platform, "subdir": subdir, "version": _VERSION},
            packages=packages,
            packages_conda=packages_conda,
            sluice=stamp.body,
        )
    )


def read(body: bytes) -> Contents:
    """Read what ``render`` made."""
    try:
        files = msgspec.json.decode(body, type=_Files)
    except DECODE_ERRORS as error:
        raise Corrupt(f"not a run_exports.json of ours: {error}") from error
    return Contents({**files.packages, **files.packages_conda})
