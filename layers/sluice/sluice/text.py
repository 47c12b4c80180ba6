"""Untrusted strings, escaped for display.

File names, names in archives and values of JSON appear in logs, in the rejects document and on
terminals.  There a line feed forges a line, and a terminal obeys an escape sequence.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Escape unprintable characters: line feeds, controls, direction marks, surrogates.

    A backslash stays as it is, so the result is for display and cannot be decoded.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
