"""What packages say of themselves, as text and as links that may be followed.  Pure."""

from __future__ import annotations


def first_text(value: object) -> str:
    """The text, the first of several, or nothing."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""


def web_link(value: object) -> str:
    """The same where it is an address of the web."""
    url = first_text(value)
    return url if url.startswith(("https://", "http://")) else ""
