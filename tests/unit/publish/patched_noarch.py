"""A ``noarch`` whose configuration and patches change, as far as one merge sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from sluice.conda.names import NOARCH
from sluice.layout import Subdir
from testkit.channel import PATCHES, patch_package
from tests.support.staging_records import indexed
from tests.support.subdir_world import World

TEAM_NOARCH = Subdir("team", NOARCH)
PATCHED = f'[sluice]\npatches = "{PATCHES}"\n'
RUN_EXPORTS = "[sluice]\nrun-exports = true\n"


def patch_name(version: str) -> str:
    """The filename of a patch package."""
    return f"{PATCHES}-{version}-0.conda"


def put_package(world: World, filename: str, *, run_exports: Any = None, **fields: Any) -> None:
    """Upload a package whose record has these fields, and stage it."""
    body = repr((filename, run_exports, sorted(fields.items()))).encode()
    staged = indexed(filename, body, identity=world.upload(filename, body), at=world.now_ms)
    staged.record.update(subdir=world.subdir.name, **fields)
    world.stage(structs.replace(staged, run_exports=run_exports))


def put_patch(world: World, version: str, instructions: Mapping[str, Any]) -> None:
    """Upload a patch package that says this about ``noarch``, and stage it."""
    package = patch_package(version, {NOARCH: instructions})
    identity = world.upload(package.filename, package.body)
    staged = indexed(package.filename, package.body, identity=identity, at=world.now_ms)
    staged.record["subdir"] = world.subdir.name
    world.stage(staged)
