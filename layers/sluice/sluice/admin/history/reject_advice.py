"""What to do about rejects and warnings, by code."""

from __future__ import annotations

_UPLOAD_AGAIN = (
    "The file is damaged. Compare its SHA-256 with that of the original file. If they differ, "
    "upload the original again. If not, build the package again."
)
_REBUILD = (
    "Build the package again with a current rattler-build or conda-build, with another build "
    "number. Uploading the same file again does not help."
)
_RENAME = (
    "A package cannot be renamed after the build. Upload it with the filename it was built with, "
    "or build it again with the new name, version and build."
)
_SMALLER = (
    "Reduce what the recipe writes to info/. That folder is for metadata only, not for files of "
    "the package itself."
)
_EDIT = "Correct sluice.toml, and upload it again. Until then, the last valid version stays active."
_PATCH = (
    "Upload a corrected patch package with a higher version, or delete this one. Until then, the "
    "last valid patch stays active."
)

ADVICE = {
    "archived": (
        "Restore the object, then copy it onto itself in a storage class with instant access. "
        "The copy counts as an upload, so sluice reads it again. Check the bucket for a lifecycle "
        "rule that archives packages."
    ),
    "bz2-invalid": _UPLOAD_AGAIN,
    "conda-member-misnamed": _RENAME,
    "conda-member-missing": _RENAME,
    "condition-outdated": (
        'Write the condition of the dependency as [when="..."], and build the package again.'
    ),
    "config-invalid": _EDIT,
    "config-key-unknown": (
        "Correct the key if it is misspelled. If it is a key of a newer rattler-index, keep it, "
        "and upgrade sluice to a version that supports it."
    ),
    "digests-false": (
        "Compare its SHA-256 with that of the original file. If they are the same, upload the file "
        "again, with correct metadata or without. If they differ, the file in the bucket was "
        "changed: find out how before you replace it."
    ),
    "empty-file": _UPLOAD_AGAIN,
    "filename-invalid": (
        "Build the package with a name, version and build in the characters that CEP 26 allows. If "
        "the file is not a package, delete it from the folder of the subdir."
    ),
    "filename-mismatch": _RENAME,
    "hashing-too-slow": (
        "Upload it with its SHA-256: use rattler-build upload s3, or the AWS CLI with "
        "--checksum-algorithm SHA256 and a single-part upload."
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
        "Shorten the dependencies or constraints in the recipe, or delete other packages with long "
        "lists of them. sluice tries again once a day. To retry now, run sluice reconcile "
        "--re-extract."
    ),
    "member-too-large": _SMALLER,
    "not-listed": (
        "The list is limited. Delete or replace files that cannot be indexed: the next merge lists "
        "others."
    ),
    "patch-invalid": _PATCH,
    "patch-too-large": _PATCH,
    "record-kept": (
        "Build the package again with another build number, following the rule. Until then, "
        "clients see the record from the index that sluice took over."
    ),
    "record-left-out": (
        "No action needed: sluice reads the package with the next reconcile at the latest, and "
        "makes its record from it."
    ),
    "record-normalized": (
        "sluice replaces the record when it reads the package, with the next reconcile at the "
        "latest. If it keeps the record because the package breaks a rule (record-kept), build the "
        "package again. For a file that is not a conda package, correct the tool that writes its "
        "record."
    ),
    "record-too-large": (
        "Shorten the lists of dependencies and constraints in the recipe. Every client downloads "
        "the record, so its size is limited."
    ),
    "repodata-revision-contradicted": (
        "Build the package with repodata_revision 3, or without that key."
    ),
    "repodata-revision-not-allowed": (
        "Build the package without features of revision 3, or allow such packages with "
        'package-revisions = "all" in sluice.toml.'
    ),
    "repodata-revision-unsupported": (
        "Upgrade sluice to a version that supports the revision, then run sluice reconcile "
        "--re-extract. Or build the package for an older revision."
    ),
    "run-exports-unreadable": (
        "Build the package again, with its run exports in info/run_exports.json as CEP 34 "
        "specifies. Builders that read the package itself find the same invalid run exports."
    ),
    "shard-too-large": (
        "Delete builds that are no longer needed, or move them to another channel. Until then, "
        "conda finds this package only without sharded repodata."
    ),
    "subdir-mismatch": (
        "Upload the package to the folder of the subdir it was built for, and delete it here."
    ),
    "tar-invalid": _UPLOAD_AGAIN,
    "tar-too-many-members": _SMALLER,
    "timestamp-in-future": (
        "Correct the clock of the build machine, and build the package again with another build "
        'number. Or allow such packages with timestamps = "warn" in sluice.toml.'
    ),
    "truncated": _UPLOAD_AGAIN,
    "unreadable": (
        "sluice tries again once a day. To retry now, run sluice reconcile --re-extract. If that "
        "does not help, check whether the functions are allowed to use the object's KMS key, and "
        "whether ExtractMemorySize is large enough."
    ),
    "unpacking-too-slow": _SMALLER,
    "version-invalid": "Build the package again with a version that is valid (CEP 33).",
    "zip-invalid": _UPLOAD_AGAIN,
    "zip-member-compressed": (
        "A tool has repacked the .conda, which must be a zip without compression. Upload the "
        "original file from the build."
    ),
    "zip-member-duplicate": _REBUILD,
    "zip-member-encrypted": _REBUILD,
    "zip-members-overlap": _REBUILD,
    "zip-too-many-members": (
        "Upload the original file from the build: a .conda has exactly three members."
    ),
    "zstd-invalid": _UPLOAD_AGAIN,
}
"""Advice for every code of this version of sluice."""

_UNKNOWN = "A newer version of sluice rejected it. Upgrade this command line for advice."
_UNKNOWN_WARNING = "A newer version of sluice warns about it. Upgrade this command line for advice."


def reject_advice(code: str, *, is_warning: bool = False) -> str:
    """The advice about a reject or a warning with this code."""
    return ADVICE.get(code, _UNKNOWN_WARNING if is_warning else _UNKNOWN)
