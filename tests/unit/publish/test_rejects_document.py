"""The document that tells people what was rejected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import msgspec
import pytest

from sluice.catalog.entry import Entries, Pin, Record, Reject
from sluice.catalog.node import render_node
from sluice.catalog.tree import InputProblem
from sluice.channel_config import DEFAULT_CONFIG, ChannelConfig
from sluice.limits import MIB, REJECT_SENTENCE_CHARS_MAX
from sluice.publish import rejects_document
from sluice.publish.fence import Stamp
from sluice.publish.rejects_document import IssueCounts
from tests.support.staging_records import A2, SUBDIR, A, B, identity_of

AT = 1_750_000_000_000
DATED = {"indexed_timestamp": AT}
STAMP = Stamp(3, "ab" * 32, "me")


def render(
    leaves: Iterable[Entries],
    problems: Iterable[InputProblem] = (),
    *,
    counts: IssueCounts | None = None,
    config: ChannelConfig = DEFAULT_CONFIG,
) -> bytes:
    """Render the document; counts what is in ``leaves``, unless ``counts`` are given."""
    read = list(leaves)
    nodes = [render_node("a", entries, at=AT).node for entries in read]
    return rejects_document.render_rejects(
        read,
        problems,
        counts=counts or IssueCounts.of_nodes(nodes, config),
        config=config,
        subdir=SUBDIR,
        stamp=STAMP,
    )


def reject(body: bytes) -> Reject:
    """A reject."""
    return Reject(
        identity=identity_of(body), extractor=1, code="zip-invalid", sentence="Too bad.", at=5
    )


def test_every_reject_is_told_with_its_reason_its_object_and_its_time_and_nothing_else() -> None:
    leaves: list[Entries] = [
        {B: reject(b"b"), A2: Record(identity=None, extractor=1, record={"indexed_timestamp": AT})},
        {A: reject(b""), "p": Pin(identity=None, extractor=1, at=1, reason="r")},
    ]
    assert json.loads(render(leaves)) == {
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
        "omitted": {"rejects": 0, "warnings": 0},
        "problems": [],
    }


FUTURE = Record(
    identity=identity_of(),
    extractor=1,
    record={"timestamp": 1_750_000_060_000, "indexed_timestamp": 1_750_000_000_000},
)


def test_a_timestamp_that_cannot_be_is_warned_of_and_rejected_where_that_is_configured() -> None:
    warned = json.loads(render([{A: FUTURE}]))
    (warning,) = warned["warnings"]
    assert (warned["rejects"], warning["filename"], warning["code"]) == (
        [],
        A,
        "timestamp-in-future",
    )
    assert "built at 2025-06-15T15:07:40+00:00" in warning["sentence"]
    strict = msgspec.structs.replace(DEFAULT_CONFIG, timestamps="reject")
    told = json.loads(render([{A: FUTURE}], config=strict))
    assert told["warnings"] == []
    assert told["rejects"] == [{**warning, "rejected_at": 1_750_000_000_000}]


def test_problems_of_the_channel_stand_beside_the_rejects() -> None:
    problem = InputProblem(
        filename="sluice.toml", identity=identity_of(), code="c", sentence="s", at=7
    )
    body = render([], [problem])
    assert [one["filename"] for one in json.loads(body)["problems"]] == ["sluice.toml"]


def test_a_person_can_read_it() -> None:
    text = render([{A: reject(b"")}]).decode()
    assert '\n      "sentence": "Too bad.",\n' in text


def flood(names: int, files: int, *, sentence: str = "Too bad.") -> Iterator[Entries]:
    """So many names with so many rejects each."""
    for name in range(names):
        yield {
            f"a{name:06}-{version}-0.conda": msgspec.structs.replace(reject(b""), sentence=sentence)
            for version in range(files)
        }


@pytest.mark.parametrize(("names", "files"), [(1, 1001), (1001, 1), (30, 200), (200, 30)])
def test_of_many_rejects_a_thousand_at_most_are_listed_and_the_others_counted(
    names: int, files: int
) -> None:
    document = json.loads(render(flood(names, files)))
    listed = len(document["rejects"])
    assert listed == min(1000, names * min(files, 100))
    assert document["omitted"] == {"rejects": names * files - listed, "warnings": 0}


def test_up_to_a_thousand_rejects_of_one_name_are_all_listed() -> None:
    document = json.loads(render(flood(1, 1000)))
    assert len(document["rejects"]) == 1000
    assert document["omitted"]["rejects"] == 0


def test_the_rejects_of_one_name_do_not_hide_those_of_others() -> None:
    document = json.loads(render([*flood(1, 5000), {B: reject(b"b")}]))
    assert B in [one["filename"] for one in document["rejects"]]


def test_the_longest_sentences_in_any_script_leave_the_document_below_1_mib() -> None:
    longest = "\N{GRINNING FACE}" * REJECT_SENTENCE_CHARS_MAX
    body = render(flood(1000, 1, sentence=longest))
    assert len(body) < MIB
    document = json.loads(body)
    assert len(document["rejects"]) + document["omitted"]["rejects"] == 1000
    assert len(document["rejects"]) > 300


def test_of_many_warnings_a_thousand_at_most_are_listed_and_the_others_counted() -> None:
    leaves = [{f"a{number}-1-0.conda": FUTURE} for number in range(1200)]
    document = json.loads(render(leaves))
    assert len(document["warnings"]) == 1000
    assert document["omitted"] == {"rejects": 0, "warnings": 200}


def test_leaves_are_read_only_as_far_as_there_is_room() -> None:
    leaves = iter(flood(5000, 1))
    counts = IssueCounts(rejects=5000, warnings=0)
    rejects_document.render_rejects(
        leaves, counts=counts, config=DEFAULT_CONFIG, subdir=SUBDIR, stamp=STAMP
    )
    assert len(list(leaves)) == 4000
