"""Explains invalid command lines, including the flags of rattler-index and conda-index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyclopts import CycloptsError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError

_CREDENTIALS = "sluice reads credentials like the AWS CLI, not from the command line: "
_CONFIG = "this is a setting of the channel: "
_FOREIGN_FLAGS: Mapping[str, str] = {
    # rattler-index
    "--target-platform": "to index only one subdir, use --subdir",
    "--force": "sluice reads changed packages again by itself. To read every reject again, use "
    "--re-extract; to rewrite every file that differs, run sluice verify --repair",
    "-f": "use --re-extract, or run sluice verify --repair",
    "--max-parallel": "sluice chooses the number of concurrent requests. To limit the processes "
    "that read packages, use --processes",
    "--access-key-id": _CREDENTIALS + "set AWS_ACCESS_KEY_ID, or name a --profile",
    "--secret-access-key": _CREDENTIALS + "set AWS_SECRET_ACCESS_KEY, or name a --profile",
    "--session-token": _CREDENTIALS + "set AWS_SESSION_TOKEN, or name a --profile",
    "--force-path-style": "use --path-style, or omit it: path style is the default for endpoints "
    "other than AWS",
    "--addressing-style": "use --path-style or --no-path-style",
    "--repodata-patch": _CONFIG + 'upload the patch package, and set patches = "NAME" under '
    "[sluice] in sluice.toml",
    "--write-zst": _CONFIG + "set write-zst = true under [index-config] in sluice.toml",
    "--no-write-zst": _CONFIG + "set write-zst = false under [index-config] in sluice.toml",
    "--write-shards": _CONFIG + "set write-shards = true under [index-config] in sluice.toml",
    "--no-write-shards": _CONFIG + "set write-shards = false under [index-config] in sluice.toml",
    "--verbose": "sluice always prints what it did. For all details, use --json",
    "-v": "sluice always prints what it did. For all details, use --json",
    "--quiet": "redirect the output to /dev/null, and check the exit code",
    "--config": "AWS settings are in the AWS CLI configuration, and settings of the channel in its "
    "sluice.toml",
    "--precondition-checks": "sluice always makes its writes conditional",
    "--disable-precondition-checks": "sluice always makes its writes conditional",
    # conda-index
    "--channeldata": _CONFIG + "set channeldata = true under [sluice] in sluice.toml",
    "--no-channeldata": _CONFIG + "set channeldata = false under [sluice] in sluice.toml",
    "--rss": _CONFIG + "set rss = true under [sluice] in sluice.toml",
    "--no-rss": _CONFIG + "set rss = false under [sluice] in sluice.toml",
    "--bz2": _CONFIG + "set repodata-bz2 = true under [sluice] in sluice.toml",
    "--no-bz2": _CONFIG + "set repodata-bz2 = false under [sluice] in sluice.toml",
    "--zst": _CONFIG + "set write-zst = true under [index-config] in sluice.toml",
    "--no-zst": _CONFIG + "set write-zst = false under [index-config] in sluice.toml",
    "--run-exports": _CONFIG + "set run-exports = true under [sluice] in sluice.toml",
    "--no-run-exports": _CONFIG + "set run-exports = false under [sluice] in sluice.toml",
    "--current-repodata": _CONFIG + "set current-repodata = true under [sluice] in sluice.toml",
    "--no-current-repodata": _CONFIG + "set current-repodata = false under [sluice] in sluice.toml",
    "--base-url": _CONFIG + 'set base-url = "URL" under [index-config] in sluice.toml',
    "--patch-generator": _CONFIG + 'upload the patch package, and set patches = "NAME" under '
    "[sluice] in sluice.toml",
    "--channel-name": "a channel has the name of its folder",
    "--output": "sluice writes the index beside the packages. For a copy, run sluice snapshot",
    "--threads": "to limit the processes that read packages, use --processes",
    "--update-cache": "there is no cache to update: the catalog is in the state",
    "--cache-dir": "there is no cache: the catalog is in the state (--state)",
}
"""Advice by flag of rattler-index and conda-index, for people who know those tools."""


def describe_usage_error(error: CycloptsError, words: Sequence[str]) -> str:
    """A sentence about an invalid command line."""
    if isinstance(error, UnknownOptionError):
        flag = (error.token.keyword or error.token.value).partition("=")[0]
        if flag in _FOREIGN_FLAGS:
            return f"unknown option {flag}: {_FOREIGN_FLAGS[flag]}"
    if isinstance(error, UnusedCliTokensError):
        extra = " ".join(error.unused_tokens or ())
        return f"unexpected argument {extra!r}. See sluice {words[0]} --help"
    command = [] if isinstance(error, UnknownCommandError) else list(words[:1])
    more = " ".join(["sluice", *command, "--help"])
    return f"{' '.join(str(error).split())} See {more}"
