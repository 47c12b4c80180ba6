"""The errors of making a release."""

from __future__ import annotations


class BuildError(RuntimeError):
    """A part of a release could not be made; the message has what the tool said of it."""
