"""fzstd: third-party code in the page, byte for byte as its authors published it.

For a newer release: run ``npm pack fzstd``, copy ``source`` and ``LICENSE`` from the package to
``vendor/``, and change the version and the digest here.  ``tests/page`` then checks that it can
decompress zstd's output.
"""

from __future__ import annotations

PACKAGE = "fzstd"
"""Name of the package on npm."""
VERSION = "0.1.1"
SOURCE = "esm/index.mjs"
"""Path of the source in the package."""
SHA256 = "1a901fc5a58c349bbdb4f2aa1e688637ef56891ec58243a9f0cd863166b0d2a4"
"""SHA-256 of the source."""
MODULE = "vendor/fzstd.js"
"""Path of the source in this folder."""
LICENCE = "vendor/fzstd.LICENSE"
"""Path of the license.  MIT requires it in every copy, so the document includes it."""
EXPORT = "decompress"
"""The function that the page uses."""
