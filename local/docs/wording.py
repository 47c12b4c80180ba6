"""``python -m local.docs.wording``: phrases that must not come back, each with what to say instead.

Spelling is checked by codespell; this checks the register: what a page or a message says in words
that an engineer has to read twice.  Run by ``make lint``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHRASES = {
    r"\banew\b": "again, or from scratch",
    r"\bheals\b": "repairs, or recovers",
    r"\blone\b": "single",
    r"\b(?:is|are) told of\b": "is reported",
    r"\btells? of\b": "reports, or says",
    r"\b(?:goes|go) by\b": "uses",
    r"\bheld (?:to|against) (?:it|that|what|the)\b": "checked against",
    r"\bmade up for\b": "recovered",
    r"\bstands? (?:there|in\b(?! for))": "is in",
    r"\bwhoever\b": "anyone who",
    r"\bwhom\b": "who",
    r"\bis behind the head\b": "is older than the head",
    r"\btakes? the place of\b": "replaces",
    r"\bhas (?:it|them|that) done\b": "does it",
    r"\bof whom\b": "whose",
    r"\bso as to\b": "to",
    r"\bshall\b": "must, or is to",
    r"(?<=, )for (?:they|there|nothing|nobody) ": "because",
}
"""By regular expression, without regard to case."""
CHECKED = ("*.md", "template.yaml", "layers/*.py", "functions/*.py", "local/*.py", "deploy/*")
GENERATED = ("docs/conformance-conda.md", "docs/reference/clients.md", "local/docs/wording.py")
"""Not checked: lists of what was run, and this list."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A phrase on one line."""

    path: str
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: “{self.phrase}”: say {self.instead}"


def findings(path: str, text: str) -> Iterator[Finding]:
    """The phrases in a text, in the order of its lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, instead in PHRASES.items():
            for match in re.finditer(pattern, line, re.IGNORECASE):
                yield Finding(path, number, match[0].strip(), instead)


def checked_files() -> list[str]:
    """The files under version control that are checked."""
    listed = subprocess.run(
        ["git", "ls-files", *CHECKED],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listed.stdout.splitlines() if path not in GENERATED]


def main() -> int:
    """Print what is found; returns the exit status."""
    all_findings = [
        finding
        for path in checked_files()
        for finding in findings(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    for finding in all_findings:
        print(finding)
    return 1 if all_findings else 0


if __name__ == "__main__":
    sys.exit(main())
