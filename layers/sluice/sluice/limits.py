"""Every bound that sluice puts on what it reads, loops over or keeps; units in the names."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# --- names (CEP 26) -----------------------------------------------------------------------
NAME_CHARS_MAX = 64
"""Of a package name, a version and a build string each."""
FILENAME_CHARS_MAX = 211
CHANNEL_COMPONENT_CHARS_MAX = 400
"""Of a channel's path, percent-encoded.  S3 keys end at 1,024 bytes; a staging key holds the
channel, the subdir, a filename and an id."""
