"""Links between the Markdown files of the repository, as the site has them.

On GitHub a link leads from file to file.  The site is made of ``docs/`` and a few files from
outside of it; a link to any other file leads to where the source can be read, or nowhere.  Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

FROM_OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "benchmarks/results.md": "benchmarks/results.md",
    "benchmarks/results-load.md": "benchmarks/results-load.md",
    "benchmarks/results-installable.md": "benchmarks/results-installable.md",
    "benchmarks/results-million.md": "benchmarks/results-million.md",
}
"""Files of the repository that are no part of ``docs/``, and the page each becomes."""

_DOCS = "docs/"
_FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2\s*?$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?P<before>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|//|#)", re.IGNORECASE)


def path_of(page: str) -> str:
    """Return the file of the repository that a page of the site is made from."""
    for path, became in FROM_OUTSIDE.items():
        if became == page:
            return path
    return _DOCS + page


def page_of(path: str) -> str | None:
    """Return where a file of the repository is on the site, or ``None`` where it is not."""
    if path in FROM_OUTSIDE:
        return FROM_OUTSIDE[path]
    is_file = bool(posixpath.splitext(path)[1])
    return path.removeprefix(_DOCS) if is_file and path.startswith(_DOCS) else None


def relocate(markdown: str, page: str, source_url: str, outside: Callable[[str], None]) -> str:
    """Rewrite the links of a page, from files of the repository to pages of the site.

    ``source_url`` is what a file's path is appended to; where it is empty, such links become their
    text.  ``outside`` is called with each file that is not on the site, to check that it exists.
    """

    def link(found: re.Match[str]) -> str:
        target = found["target"]
        if _ELSEWHERE.match(target):
            return found[0]
        path, hash_, anchor = target.partition("#")
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(path_of(page)), path))
        there = page_of(meant)
        if there is not None:
            relative = posixpath.relpath(there, posixpath.dirname(page) or ".")
            return f"{found['before']}[{found['text']}]({relative}{hash_}{anchor})"
        outside(meant)
        if source_url:
            return f"[{found['text']}]({source_url}/{meant}{hash_}{anchor})"
        return found["text"]

    text = ""
    position = 0
    for fenced in _FENCED.finditer(markdown):
        text += _LINK.sub(link, markdown[position : fenced.start()]) + fenced[0]
        position = fenced.end()
    return text + _LINK.sub(link, markdown[position:])
