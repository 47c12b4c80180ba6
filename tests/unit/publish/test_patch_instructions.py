"""What the patch in force says, for people."""

from __future__ import annotations

import json

from sluice.conda.patch import PatchInstructions
from sluice.publish.fence import Stamp
from sluice.publish.patch_instructions import render_patch_instructions

STAMP = Stamp(3, "ab" * 32, "me")
NOTHING = {
    "packages": {},
    "packages.conda": {},
    "patch_instructions_version": 1,
    "remove": [],
    "revoke": [],
    "sluice": STAMP.body,
    "v3": {},
}


def test_a_patch_that_says_nothing_of_a_subdir_is_told_as_empty() -> None:
    assert json.loads(render_patch_instructions(None, stamp=STAMP)) == NOTHING


def test_the_bytes_depend_on_what_is_said_alone() -> None:
    """A set has another order in each process."""
    filenames = [f"alpha-{number}-0.conda" for number in range(10, 60)]
    told = PatchInstructions(
        packages={"b": {"y": None, "x": 1}, "a": {}},
        remove=frozenset(filenames),
        revoke=frozenset(filenames),
    )
    expected = NOTHING | {
        "packages": {"a": {}, "b": {"x": 1, "y": None}},
        "remove": filenames,
        "revoke": filenames,
    }
    body = render_patch_instructions(told, stamp=STAMP)
    assert body.decode() == json.dumps(expected, separators=(",", ":"), sort_keys=True)
