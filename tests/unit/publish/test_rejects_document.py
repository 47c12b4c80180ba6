"""The document that tells people what was rejected."""

from __future__ import annotations

import json

import msgspec

from sluice.catalog.entry import Entries, Pin, Record, Reject
from sluice.catalog.tree import InputProblem
from sluice.channel_config import DEFAULT_CONFIG
from sluice.publish import rejects_document
from sluice.publish.fence import Stamp
from tests.support.staging_records import A2, SUBDIR, A, B, identity_of

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
    assert json.loads(
        rejects_document.render_rejects(leaves, config=DEFAULT_CONFIG, subdir=SUBDIR, stamp=STAMP)
    ) == {
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
        "warnings": [],
        "problems": [],
    }


FUTURE = Record(
    identity=identity_of(),
    extractor=1,
    record={"timestamp": 1_750_000_060_000, "indexed_timestamp": 1_750_000_000_000},
)


def test_a_timestamp_that_cannot_be_is_warned_of_and_rejected_where_that_is_configured() -> None:
    warned = json.loads(
        rejects_document.render_rejects(
            [{A: FUTURE}], config=DEFAULT_CONFIG, subdir=SUBDIR, stamp=STAMP
        )
    )
    (warning,) = warned["warnings"]
    assert (warned["rejects"], warning["filename"], warning["code"]) == (
        [],
        A,
        "timestamp-in-future",
    )
    assert "built at 2025-06-15T15:07:40+00:00" in warning["sentence"]
    strict = msgspec.structs.replace(DEFAULT_CONFIG, timestamps="reject")
    told = json.loads(
        rejects_document.render_rejects([{A: FUTURE}], config=strict, subdir=SUBDIR, stamp=STAMP)
    )
    assert told["warnings"] == []
    assert told["rejects"] == [{**warning, "rejected_at": 1_750_000_000_000}]


def test_problems_of_the_channel_stand_beside_the_rejects() -> None:
    problem = InputProblem(
        filename="sluice.toml", identity=identity_of(), code="c", sentence="s", at=7
    )
    body = rejects_document.render_rejects(
        [], [problem], config=DEFAULT_CONFIG, subdir=SUBDIR, stamp=STAMP
    )
    assert [one["filename"] for one in json.loads(body)["problems"]] == ["sluice.toml"]


def test_a_person_can_read_it() -> None:
    text = rejects_document.render_rejects(
        [{A: reject(b"")}], config=DEFAULT_CONFIG, subdir=SUBDIR, stamp=STAMP
    ).decode()
    assert '\n      "sentence": "Too bad.",\n' in text
