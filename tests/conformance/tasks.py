"""The channels that the three indexers are given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from testkit.channel import conda, patch_package, tar_bz2
from tests.conformance.indexers import Task


def index_of(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "build": "h0_0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        "timestamp": 1_700_000_000_000,
        **more,
    }


RUN_EXPORTS = {"weak": ["lib >=2"], "strong": ["lib-abi 2.*"]}
HELPER = conda(index_of("helper", subdir="noarch", noarch="generic", future={"key": [1]}))
LIB = conda(index_of("lib", "2.0"), run_exports=RUN_EXPORTS)
OLD_LIB = tar_bz2(index_of("lib", "1.0", timestamp=1_600_000_000_000))
APP = conda(index_of("app", depends=["lib"]))
TWINS = (tar_bz2(index_of("twin")), conda(index_of("twin")))
YANKED = conda(index_of("yanked"))
REVOKED = conda(index_of("revoked"))
PACKAGES = (HELPER, LIB, OLD_LIB, APP, *TWINS, YANKED, REVOKED)

_IF = ['helper >=1.0[when="__unix"]']
CONDITIONAL = conda(index_of("conditional", depends=_IF, schema_version=3))
OLD_CONDITIONAL = tar_bz2(index_of("old-conditional", depends=_IF, schema_version=3))
EXTRAS = conda(index_of("extras", extra_depends={"docs": ["sphinx"]}, schema_version=3))
FLAGGED = conda(index_of("flagged", flags=["cuda"], schema_version=3))
MESSAGE = "Some packages need a client of 2026"
KEPT: Mapping[str, Any] = {
    "whl": {
        "wheel-1.0-0": {**index_of("wheel", build="0", subdir="noarch"), "url": "wheel-1.0-0.whl"}
    },
    "zip": {"helper-1.0-0": {"name": "helper", "future": [True]}},
}

EVERYTHING = (
    "run-exports = true\nchanneldata = true\nrss = true\ncurrent-repodata = true\n"
    "repodata-bz2 = true\npage = true\n"
)
"""All that sluice leaves out by default."""


def _patched(**instructions: Any) -> Task:
    patch = patch_package("1.0", {"linux-64": instructions})
    return Task(PACKAGES, patch=patch, sluice=EVERYTHING)


PLAIN = Task(PACKAGES, sluice=EVERYTHING)
PATCHED = _patched(
    patch_instructions_version=1,
    packages={TWINS[0].filename: {"depends": ["patched"]}},
    **{
        "packages.conda": {
            APP.filename: {"depends": ["lib >=2"], "license": "MIT"},
            LIB.filename: {"sha256": "0" * 64, "md5": "0" * 32, "size": 1},
        }
    },
    remove=[YANKED.filename],
    revoke=[REVOKED.filename],
)
PATCHED_2 = _patched(
    patch_instructions_version=2,
    **{"packages.conda": {LIB.filename: {"run_exports": {"weak": ["patched"]}}}},
)
PATCHED_V3 = Task(
    (*PACKAGES, CONDITIONAL),
    patch=patch_package(
        "1.0",
        {
            "linux-64": {
                "patch_instructions_version": 2,
                "v3": {"conda": {CONDITIONAL.filename.removesuffix(".conda"): {"license": "MIT"}}},
            }
        },
    ),
)
MODERN = Task(
    (HELPER, APP, CONDITIONAL, OLD_CONDITIONAL),
    index_config=f'repodata-revisions = [{{ revision = "v3", message = "{MESSAGE}" }}]',
    conda_index={"repodata_v3": True},
)
LATEST = Task(
    (HELPER, APP),
    index_config='repodata-revisions = ["v3"]\npackage-revision-assignment = "latest"',
    conda_index={"repodata_v3": True},
)
OPTIONAL = Task((HELPER, EXTRAS, FLAGGED), conda_index={"repodata_v3": True})
NOTICES = b'{"notices": [{"id": "old", "message": "Welcome", "level": "info"}]}'
"""What somebody else has put there."""
TAKEN_OVER = Task(
    (HELPER,),
    before={
        "notices.json": NOTICES,
        "noarch/wheel-1.0-0.whl": b"a wheel",
        "noarch/repodata.json": json.dumps(
            {
                "info": {"subdir": "noarch"},
                "packages": {},
                "packages.conda": {},
                "repodata_version": 1,
                "v3": KEPT,
            }
        ).encode(),
    },
)
ELSEWHERE = Task(
    PACKAGES,
    index_config='base-url = "https://packages.example/linux-64/"',
    conda_index={"base_url": "https://packages.example"},
)
RELATED = Task(
    (APP,),
    index_config='channel-relations = { base = "../base", overrides = "../overrides" }\n'
    'notices = [{ id = "one", message = "We move", level = "warning" }]',
)
DETECTORS = {"helper": ["__team_gpu"]}
DETECTED = Task(
    (HELPER, APP), index_config='virtual-package-detectors = { helper = ["__team_gpu"] }'
)
READABLE = Task(
    (HELPER, APP),
    sluice=EVERYTHING,
    conda_index={"compact_json": False, "html_dependencies": True},
)
SHARDS_ALONE = Task(
    (HELPER, APP), conda_index={"write_monolithic": False, "write_run_exports": False}
)
SIGS = b'[{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}]'
"""A sidecar as uploaders write it, of a bundle that nobody verifies here."""
ATTESTED = Task(
    (HELPER, APP),
    before={f"{APP.path}.sigs": SIGS, f"{APP.path}.sigs.{sha256(SIGS).hexdigest()}": SIGS},
)
BROKEN = Task((HELPER, APP), before={"linux-64/broken-1.0-0.conda": b"no package"})

TASKS: Mapping[str, Task] = {
    "plain": PLAIN,
    "patched": PATCHED,
    "patched by version 2": PATCHED_2,
    "patched in v3": PATCHED_V3,
    "modern": MODERN,
    "latest": LATEST,
    "optional": OPTIONAL,
    "taken over": TAKEN_OVER,
    "elsewhere": ELSEWHERE,
    "related": RELATED,
    "detected": DETECTED,
    "readable": READABLE,
    "shards alone": SHARDS_ALONE,
    "attested": ATTESTED,
    "broken": BROKEN,
}
