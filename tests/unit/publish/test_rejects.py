"""The document that tells people what was rejected."""

from __future__ import annotations

import json

from sluice.catalog.leaf import Entries, Pin, Record, Reject
from sluice.publish import rejects
from sluice.publish.fence import Stamp
from tests.support.staged import A2, SUBDIR, A, B, identity_of

STAMP = Stamp(3, "ab" * 32, "me")


def reject(body: bytes) -> Reject:
    """A reject."""
    return Reject(
        identity=identity_of(body), extractor=1, code="zip-invalid", sentence="Too bad.", at=5
    )


def test_every_reject_is_told_with_its_reason_its_object_and_its_time_and_nothing_else() -> None:
    leaves: list[Entries] = [
        {B: reject(b"b"), A2: Record(identity=None, extractor=1, record={})},
        {A: reject(b""), "p": Pin(identity=None, extractor=1, at=1, reason="r")},
    ]
    assert json.loads(rejects.render(leaves, subdir=SUBDIR, stamp=STAMP)) == {
        "format": 1,
        "channel": "Conda/Default",
        "subdir": "linux-64",
        "sluice": {"generation": 3, "tree": "ab" * 32},
        "rejects": [
            {
                "filename": A,
                "code": "zip-invalid",
                "sentence": "Too bad.",
                "identity": {
                    "etag": '"d41d8cd98f00b204e9800998ecf8427e"',
                    "modified": 1_750_000_000,
                    "size": 0,
                },
                "rejected_at": 5,
            },
            {
                "filename": B,
                "code": "zip-invalid",
                "sentence": "Too bad.",
                "identity": {
                    "etag": '"92eb5ffee6ae2fec3ad71c777531578f"',
                    "modified": 1_750_000_000,
                    "size": 1,
                },
                "rejected_at": 5,
            },
        ],
    }


def test_a_person_can_read_it() -> None:
    text = rejects.render([{A: reject(b"")}], subdir=SUBDIR, stamp=STAMP).decode()
    assert '\n      "sentence": "Too bad.",\n' in text
