"""The notes of a release: its section of the changelog."""

from __future__ import annotations

import re

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## (?P<title>.+)$", re.MULTILINE)


def changelog_sections(changelog: str) -> dict[str, str]:
    """The text of each section by its version, or ``Unreleased``, in the order of the file."""
    headings = list(_HEADING.finditer(changelog))
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    return {
        heading["title"].split()[0]: changelog[heading.end() : end].strip()
        for heading, end in zip(headings, ends, strict=True)
    }


def release_notes(changelog: str, version: str) -> str:
    """The notes of a version; what is unreleased as long as the changelog does not name it.

    Raises ``ValueError`` where there is neither.
    """
    sections = changelog_sections(changelog)
    for title, suffix in ((version, ""), (UNRELEASED, " (not released)")):
        if text := sections.get(title):
            return f"# sluice {version}{suffix}\n\n{text}\n"
    raise ValueError(f"CHANGELOG.md has no section {version!r}, and {UNRELEASED!r} is empty")
