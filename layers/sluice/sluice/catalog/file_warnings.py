"""Warnings about files that are in the index, or whose package still has to be read.  Pure."""

from __future__ import annotations

import msgspec

from sluice.limits import REJECT_SENTENCE_CHARS_MAX
from sluice.text import printable

TIMESTAMP_IN_FUTURE = "timestamp-in-future"
"""A package says that it was built after it was indexed (CEP 47)."""
RUN_EXPORTS_UNREADABLE = "run-exports-unreadable"
"""A package has run exports that cannot be read, so clients have to ask the package (CEP 21)."""
RECORD_NORMALIZED = "record-normalized"
"""A record of another tool's index was changed into what clients can read."""
RECORD_LEFT_OUT = "record-left-out"
"""A record of another tool's index cannot be read by clients, and its package was not read yet."""
RECORD_KEPT = "record-kept"
"""A record of another tool's index stays although its package breaks a rule for new packages."""
CONFIG_KEY_UNKNOWN = "config-key-unknown"
"""``sluice.toml`` has a key in ``[index-config]`` that this version does not know."""
SHARD_TOO_LARGE = "shard-too-large"
"""conda refuses the shard of a package name."""


class FileWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of a file that leaves it in the index."""

    code: str
    sentence: str


def make_file_warning(code: str, sentence: str) -> FileWarning:
    """Make a warning whose sentence is printable and of bounded length."""
    text = printable(sentence)
    if len(text) > REJECT_SENTENCE_CHARS_MAX:
        text = text[: REJECT_SENTENCE_CHARS_MAX - 1] + "…"
    return FileWarning(code=code, sentence=text)
