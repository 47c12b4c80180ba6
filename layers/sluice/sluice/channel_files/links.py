"""Texts and links from package metadata, in safe forms.  Pure."""

from __future__ import annotations


def first_text(value: object) -> str:
    """A text, the first of several, or an empty string."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""


def web_link(value: object) -> str:
    """The same if it is an http or https URL."""
    url = first_text(value)
    return url if url.startswith(("https://", "http://")) else ""
