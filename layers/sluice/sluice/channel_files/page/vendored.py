"""fzstd: code of others in the page, byte for byte as its authors have published it.

For a newer release: run ``npm pack fzstd``, copy ``source`` and ``LICENSE`` from the package to
``vendor/``, and change the version and the digest here.  ``tests/page`` then tells whether it reads
what zstd writes.
"""

from __future__ import annotations

PACKAGE = "fzstd"
"""On npm."""
VERSION = "0.1.1"
SOURCE = "esm/index.mjs"
"""In the package."""
SHA256 = "1a901fc5a58c349bbdb4f2aa1e688637ef56891ec58243a9f0cd863166b0d2a4"
"""Of that file."""
MODULE = "vendor/fzstd.js"
"""What it is called here."""
LICENCE = "vendor/fzstd.LICENSE"
"""MIT: wants to be in every copy, so it is in the document."""
EXPORT = "decompress"
"""The one of its functions that the page uses."""
