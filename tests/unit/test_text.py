"""Strings of strangers in what people read."""

from __future__ import annotations

import pytest

from sluice.errors import BadPackage
from sluice.limits import REJECT_SENTENCE_CHARS_MAX
from sluice.text import printable


@pytest.mark.parametrize("text", ["", "torch-2.1+cpu-0.conda", "Zoë 🙂 \\n"])
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nlevel=INFO forged", r"a\nlevel=INFO forged"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("é\ud800", r"é\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
    ids=["line-feed", "escape", "c1-control", "direction", "surrogate", "tag"],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_sentence_of_a_reject_is_one_printable_line_whatever_it_quotes() -> None:
    bad = BadPackage("zip-invalid", "a\n\x1b[2J.conda is no zip.")
    assert (bad.sentence, str(bad)) == (
        r"a\n\x1b[2J.conda is no zip.",
        r"zip-invalid: a\n\x1b[2J.conda is no zip.",
    )


def test_the_sentence_of_a_reject_is_bounded_whatever_it_quotes() -> None:
    quoted = "\U000e0041" * 65_535
    sentence = BadPackage("conda-member-misnamed", quoted).sentence
    assert len(sentence) == REJECT_SENTENCE_CHARS_MAX
    assert sentence.endswith("…")
