"""``index.html``: the page that shows a channel in a browser.  Pure.

One document serves all channels: it derives the channel from its own URL, and fetches its data
(``page_data``, and the shards of a package).  The sources are in this folder in standard forms, and
are only joined here, without a build step.  One of them is third-party code (``vendored``).
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from sluice.channel_files.page import vendored

MODULES = (
    "zstd.js",
    "msgpack.js",
    "version.js",
    "dom.js",
    "channel.js",
    "search.js",
    "rows.js",
    "package.js",
    "main.js",
)
"""JavaScript modules, each after those that it imports.  They share one scope, so a name may be
used by one of them only."""

_SOURCES = Path(__file__).parent
# Each import and export starts at the beginning of a line; an import ends with the first semicolon.
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_POLICY = (
    "default-src 'none'",
    "connect-src 'self'",
    "img-src data:",  # the icon
    "script-src '{script}'",
    "style-src '{style}'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",  # no text of a package can become markup
    "trusted-types 'none'",
)


@cache
def render_page() -> bytes:
    """The document, with a policy that permits only its own script."""
    script, style = _script(), _source("style.css")
    policy = "; ".join(_POLICY).format(script=_hash(script), style=_hash(style))
    document = _source("page.html")
    for name, content in (("policy", policy), ("style", style), ("script", script)):
        document = document.replace("{{" + name + "}}", content, 1)
    return document.encode()


@cache
def page_digest() -> str:
    """The hex SHA-256 of the page, which tells versions of it apart."""
    return sha256(render_page()).hexdigest()


def _script() -> str:
    joined = "\n".join(_module(name) for name in MODULES)
    return f"\n{_vendored()}\n{joined}"


def _module(name: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", _source(name)))


def _vendored() -> str:
    """The third-party code with its license, in a scope of its own."""
    return f"""/* {vendored.PACKAGE} {vendored.VERSION}

{_source(vendored.LICENCE)}
*/
const {vendored.EXPORT} = (() => {{
{_module(vendored.MODULE)}
return {vendored.EXPORT};
}})();
"""


def _source(name: str) -> str:
    return (_SOURCES / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The hash of an inline element's content in the form of a policy."""
    return "sha256-" + b64encode(sha256(content.encode()).digest()).decode()
