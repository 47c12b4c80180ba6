"""What packages say of themselves, as text and as links that may be followed.  Pure."""

from __future__ import annotations


def text(value: object) -> str:
    """The text, the first of several, or nothing."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""


def link(value: object) -> str:
    """The same where it is an address of the web."""
    found = text(value)
    return found if found.startswith(("https://", "http://")) else ""
