"""Packages that hold repodata patches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest

from sluice.conda.patch import PatchInstructions
from sluice.errors import Archived, BadPackage
from sluice.package import patch_package
from sluice.package.patch_package import PatchPackage, read_patch_package
from testkit.memory_store import MemoryStore
from tests.support.package_archives import (
    CONDA,
    TAR_BZ2,
    Entry,
    conda,
    index_entry,
    members,
    tar,
    tar_bz2,
    zipped,
    zst,
)

LINUX = PatchInstructions(remove=frozenset({"alpha-1-0.conda"}))
NOARCH = PatchInstructions(revoke=frozenset({"beta-1-0.conda"}))
TOLD: Mapping[str, Any] = {
    "linux-64/patch_instructions.json": {"remove": ["alpha-1-0.conda"]},
    "noarch/patch_instructions.json": {"revoke": ["beta-1-0.conda"]},
}


def payload(told: Mapping[str, Any] = TOLD) -> list[Entry]:
    return [Entry(name, json.dumps(content).encode()) for name, content in told.items()]


def as_conda(*entries: Entry) -> bytes:
    return conda(index_entry(), payload=zst(tar(entries)))


def as_tar_bz2(*entries: Entry) -> bytes:
    return tar_bz2(index_entry(), *entries)


def read(body: bytes, filename: str = CONDA, *, subdir: str = "linux-64") -> PatchPackage | None:
    store = MemoryStore()
    store.upload(f"noarch/{filename}", body)
    return read_patch_package(store, f"noarch/{filename}", subdir)


def refusal(body: bytes, filename: str = CONDA) -> BadPackage:
    with pytest.raises(BadPackage) as refused:
        read(body, filename)
    return refused.value


@pytest.mark.parametrize(
    ("body", "filename"),
    [(as_conda(*payload()), CONDA), (as_tar_bz2(*payload()), TAR_BZ2)],
    ids=["conda", "tar.bz2"],
)
@pytest.mark.parametrize(
    ("subdir", "instructions"), [("linux-64", LINUX), ("noarch", NOARCH), ("osx-64", None)]
)
def test_both_archives_are_read_for_the_subdir_that_asks(
    body: bytes, filename: str, subdir: str, instructions: PatchInstructions | None
) -> None:
    expected = PatchPackage(sha256(body).hexdigest(), instructions)
    assert read(body, filename, subdir=subdir) == expected


def test_instructions_are_found_wherever_they_stand_in_the_archive() -> None:
    others = [Entry("readme.md", b"x" * 5000), Entry("lib/patch_instructions.json/x", b"y")]
    found = read(as_conda(*others, *payload(), *others))
    assert found
    assert found.instructions == LINUX


def test_one_request_reads_a_patch_package() -> None:
    store = MemoryStore()
    store.upload(f"noarch/{CONDA}", as_conda(*payload()))
    read_patch_package(store, f"noarch/{CONDA}", "linux-64")
    assert store.operations() == [("GetObject", f"noarch/{CONDA}")]


def test_a_package_that_is_gone_is_no_patch() -> None:
    assert read_patch_package(MemoryStore(), f"noarch/{CONDA}", "linux-64") is None


def test_an_archived_package_is_told() -> None:
    store = MemoryStore()
    store.upload(f"noarch/{CONDA}", as_conda(*payload()), archived=True)
    with pytest.raises(Archived):
        read_patch_package(store, f"noarch/{CONDA}", "linux-64")


def test_what_is_wrong_for_another_subdir_is_wrong_for_all() -> None:
    bad = payload({"win-64/patch_instructions.json": {"remove": "alpha"}})
    refused = refusal(as_conda(*payload(), *bad))
    assert refused.code == "patch-invalid"
    assert refused.sentence.startswith(f"{CONDA}: win-64/patch_instructions.json cannot be read: ")


@pytest.mark.parametrize(
    "name",
    [
        "patch_instructions.json",
        "elsewhere/patch_instructions.json",
        "linux-64/patch_instructions.json.bak",
        "x/linux-64/patch_instructions.json",
        "../linux-64/patch_instructions.json",
    ],
)
def test_a_package_without_instructions_is_no_patch(name: str) -> None:
    refused = refusal(as_conda(*payload({name: {}})))
    assert (refused.code, refused.sentence) == (
        "patch-invalid",
        f"{CONDA} does not contain any <subdir>/patch_instructions.json, so it patches nothing.",
    )


@pytest.mark.parametrize(
    ("body", "filename", "code"),
    [
        (b"", CONDA, "zip-invalid"),
        (b"", TAR_BZ2, "truncated"),
        (b"not a package", CONDA, "zip-invalid"),
        (b"not a package", TAR_BZ2, "bz2-invalid"),
        (as_tar_bz2(*payload())[:-30], TAR_BZ2, "truncated"),
        (conda(index_entry(), payload=b"not zstd"), CONDA, "zstd-invalid"),
        (conda(index_entry(), payload=zst(tar(payload()))[:-5]), CONDA, "truncated"),
        (zipped(members(zst(tar([index_entry()])))[::2]), CONDA, "conda-member-missing"),
        (as_conda(*payload(), *payload()), CONDA, "info-member-duplicate"),
        (
            as_conda(Entry("noarch/patch_instructions.json", kind=b"2")),
            CONDA,
            "info-member-not-a-file",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, filename: str, code: str) -> None:
    assert refusal(body, filename).code == code


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("PATCH_PACKAGE_BYTES_MAX", "patch-too-large"),
        ("PATCH_INSTRUCTIONS_BYTES_MAX", "member-too-large"),
        ("PATCH_UNPACKED_BYTES_MAX", "info-too-large"),
    ],
)
def test_what_would_not_fit_into_memory_is_refused(
    limit: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch_package, limit, 10)
    assert refusal(as_conda(*payload())).code == code
