"""``index.html``: the channel, for people with a browser.  Pure.

One document for all channels: it finds out by its own address which one it is in, and fetches what
it shows (``page_data``, and the shards of a package).  The sources lie beside this module as
browsers and editors know them, and are joined here; nothing is translated.  One is not ours
(``vendored``).
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
"""Each after those that it imports from.  They share one scope, so no two may use one name."""

_SOURCES = Path(__file__).parent
# Every statement of a kind stands at the beginning of a line; an import ends with the first
# semicolon.
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
    """The document, under a policy that runs its own script and no other."""
    script, style = _script(), _source("style.css")
    policy = "; ".join(_POLICY).format(script=_hash(script), style=_hash(style))
    document = _source("page.html")
    for name, content in (("policy", policy), ("style", style), ("script", script)):
        document = document.replace("{{" + name + "}}", content, 1)
    return document.encode()


@cache
def page_digest() -> str:
    """Tells one page from another; hex SHA-256."""
    return sha256(render_page()).hexdigest()


def _script() -> str:
    joined = "\n".join(_module(name) for name in MODULES)
    return f"\n{_vendored()}\n{joined}"


def _module(name: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", _source(name)))


def _vendored() -> str:
    """The code of others under its licence, in a scope of its own that its other names stay in."""
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
    """As a policy names what stands between the tags."""
    return "sha256-" + b64encode(sha256(content.encode()).digest()).decode()
