"""Phrases that must not come back are found, and only they are."""

from __future__ import annotations

import pytest

from local.docs.wording import PHRASES, checked_files, findings

EXAMPLES = [
    ("The file is written anew.", "anew"),
    ("Whoever uploads it", "Whoever"),
    ("It stays, for nothing needs it.", "for nothing"),
    ("The reason stands in the log.", "stands in"),
    ("It takes the place of the old one.", "takes the place of"),
    ("a queue that tells of uploads", "tells of"),
]


@pytest.mark.parametrize(("text", "phrase"), EXAMPLES)
def test_a_phrase_is_found_with_its_line_and_what_to_say(text: str, phrase: str) -> None:
    (finding,) = findings("a.md", f"first\n{text}\n")
    assert (finding.path, finding.line, finding.phrase) == ("a.md", 2, phrase)
    assert finding.instead in PHRASES.values()
    assert str(finding).startswith("a.md:2: ")


@pytest.mark.parametrize(
    "text",
    [
        "The record of one subdir, for example.",
        "It is renewed for that time.",
        "alone, standing instructions, marshall, besiding",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert list(findings("a.md", text)) == []


def test_the_documentation_and_the_code_are_checked() -> None:
    files = checked_files()
    assert {"README.md", "docs/architecture.md", "template.yaml"} <= set(files)
    assert "layers/sluice/sluice/errors.py" in files
