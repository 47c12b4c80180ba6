"""Strings of strangers, made fit to be shown.

File names, names in archives and values of JSON end up in logs, in the rejects document and on
terminals, where a line feed forges a line and an escape sequence is obeyed.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Escape what is no printable character: line feeds, controls, direction marks, surrogates.

    A backslash stays as it is, so this is for reading and cannot be undone.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
