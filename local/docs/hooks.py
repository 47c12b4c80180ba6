"""What ``mkdocs build`` calls: pages from outside of ``docs/``, their links, no other hosts."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from local.docs.links import FROM_OUTSIDE, path_of, relocate

_ROOT = Path(__file__).resolve().parents[2]
_LOG = logging.getLogger("mkdocs.hooks.sluice")  # a warning there fails a strict build
_LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages that lie elsewhere in the repository."""
    for path, page in FROM_OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(_ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Have links lead to pages of the site; warn of files that are nowhere."""
    here = page.file.src_uri

    def outside(path: str) -> None:
        if not (_ROOT / path).exists():
            _LOG.warning("%s links to %s, which does not exist", path_of(here), path)

    return relocate(markdown, here, config.extra["source_url"] or "", outside)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn of whatever a browser would fetch from another host."""
    for found in _LOADED.findall(output):
        _LOG.warning("%s loads from another host: %s", page.file.src_uri, found)
    return output
