"""Advice about rejects and warnings, by their codes."""

from __future__ import annotations

_UPLOAD_AGAIN = (
    "The file is damaged. Compare its SHA-256 with that of the file it was copied from; upload "
    "that again, and where it is damaged as well, build the package again."
)
_REBUILD = (
    "No upload can mend this: build the package again with a current rattler-build or conda-build, "
    "under another build number."
)
_RENAME = (
    "A package keeps the file name that it was built with. Upload it under that name, or build it "
    "anew with the name, version and build that you want."
)
_SMALLER = (
    "Have the recipe put less into info/, where clients find metadata alone: files of the package "
    "itself do not belong there."
)
_EDIT = (
    "Correct what the sentence names, and upload sluice.toml again; until then the last one that "
    "could be used is in force."
)
_PATCH = (
    "Upload a higher version of the patch package that is in order, or delete this one; until then "
    "the last one that could be used is in force."
)

ADVICE = {
    "archived": (
        "Restore the object, then copy it onto itself in a storage class with instant access: "
        "that is an upload, and it is read again. A lifecycle rule that archives packages takes "
        "them out of the index."
    ),
    "bz2-invalid": _UPLOAD_AGAIN,
    "conda-member-misnamed": _RENAME,
    "conda-member-missing": _RENAME,
    "condition-outdated": 'Write the condition of the dependency as [when="..."] and rebuild.',
    "config-invalid": _EDIT,
    "config-key-unknown": (
        "Correct the key if it is misspelt. If a newer rattler-index has it, leave it, and deploy "
        "a version of sluice that knows it."
    ),
    "digests-false": (
        "Compare its SHA-256 with that of the file that was built. If the file in the bucket is "
        "right, upload it again, with true metadata or with none; reading it again as it is "
        "changes nothing. If not, somebody has changed it."
    ),
    "empty-file": _UPLOAD_AGAIN,
    "filename-invalid": (
        "Name it <name>-<version>-<build>.conda in the characters of CEP 26, which means to build "
        "it so. Delete what is no package from the subdir's folder."
    ),
    "filename-mismatch": _RENAME,
    "hashing-too-slow": (
        "Upload it with its SHA-256: rattler-build upload s3 states it, and so does the AWS CLI "
        "with --checksum-algorithm SHA256 for a file in one part."
    ),
    "index-json-incomplete": _REBUILD,
    "index-json-invalid": _REBUILD,
    "index-json-missing": _REBUILD,
    "index-json-too-deep": _REBUILD,
    "index-json-too-large": _SMALLER,
    "index-json-unpublishable": _REBUILD,
    "index-json-wrong-type": _REBUILD,
    "info-member-duplicate": _REBUILD,
    "info-member-not-a-file": _REBUILD,
    "info-too-large": _SMALLER,
    "large-records-full": (
        "Have the recipe say less, or delete other packages with long lists of dependencies or "
        "constraints. It is tried again once a day by itself, and at once with sluice reconcile "
        "--re-extract."
    ),
    "member-too-large": _SMALLER,
    "not-listed": (
        "Only so many are listed. Delete files that cannot be indexed, or upload good ones under "
        "their names: each merge lists the next ones."
    ),
    "patch-invalid": _PATCH,
    "patch-too-large": _PATCH,
    "record-kept": (
        "Build the package again under another build number, so that it keeps the rules. Until "
        "then clients see what the index before sluice said."
    ),
    "record-left-out": (
        "Nothing has to be done: the package is read at the latest with the next reconcile, and "
        "its record is made of what it says."
    ),
    "record-normalized": (
        "The record is replaced when the package is read, at the latest with the next reconcile. "
        "If it stays because the package breaks a rule (record-kept), build that again. For a file "
        "that is no conda package, correct what writes its record."
    ),
    "record-too-large": (
        "Have the recipe say less: a record goes to every client, and long lists of dependencies "
        "or constraints make it large."
    ),
    "repodata-revision-contradicted": "Build it with repodata_revision 3, or without that key.",
    "repodata-revision-not-allowed": (
        "Build it without what needs revision 3, or let such packages in with package-revisions = "
        '"all" in sluice.toml.'
    ),
    "repodata-revision-unsupported": (
        "Deploy a version of sluice that knows the revision, then have the rejects read again with "
        "sluice reconcile --re-extract; or build the package for an older one."
    ),
    "run-exports-unreadable": (
        "Builders ask the package itself, where they find the same. Build it again, with the run "
        "exports in info/run_exports.json as CEP 34 has them."
    ),
    "shard-too-large": (
        "Delete builds that nobody needs, or move them into another channel. Until then conda "
        "finds this package only where it does not use sharded repodata."
    ),
    "subdir-mismatch": (
        "Upload it to the folder of the subdir that it was built for, and delete it here."
    ),
    "tar-invalid": _UPLOAD_AGAIN,
    "tar-too-many-members": _SMALLER,
    "timestamp-in-future": (
        "Set the clock of the machine that builds, and build again under another build number; or "
        'let such packages in with timestamps = "warn" in sluice.toml.'
    ),
    "truncated": _UPLOAD_AGAIN,
    "unreadable": (
        "It is tried again once a day by itself, and at once with sluice reconcile --re-extract. "
        "Where that does not help, see whether the functions may use the key that it is encrypted "
        "with, and whether ExtractMemorySize is enough for it."
    ),
    "unpacking-too-slow": _SMALLER,
    "version-invalid": "Give it a version that clients can compare (CEP 33), and build it again.",
    "zip-invalid": _UPLOAD_AGAIN,
    "zip-member-compressed": (
        "Something has packed the .conda anew. Upload the file that the build made; a .conda is a "
        "zip without compression."
    ),
    "zip-member-duplicate": _REBUILD,
    "zip-member-encrypted": _REBUILD,
    "zip-members-overlap": _REBUILD,
    "zip-too-many-members": (
        "Upload the file that the build made: a .conda holds three members and nothing else."
    ),
    "zstd-invalid": _UPLOAD_AGAIN,
}
"""Advice for every code of this version of sluice."""

_UNKNOWN = "A newer sluice has rejected it: its own command line knows what to do."
_UNKNOWN_WARNING = "A newer sluice warns of it: its own command line knows what to do."


def reject_advice(code: str, *, is_warning: bool = False) -> str:
    """The advice for people about a reject or a warning with this code."""
    return ADVICE.get(code, _UNKNOWN_WARNING if is_warning else _UNKNOWN)
