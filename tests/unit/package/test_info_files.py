from __future__ import annotations

import json

import pytest

from sluice.conda.run_exports import RunExports
from sluice.errors import BadPackage
from sluice.limits import CHANNELDATA_FIELD_BYTES_MAX, JSON_DEPTH_MAX
from sluice.package.info_files import (
    parse_channeldata_fields,
    parse_index_json,
    parse_run_exports_files,
)
from sluice.package.tar_stream import RUN_EXPORTS_JSON

NO_FLAGS = {
    "activate.d": False,
    "binary_prefix": False,
    "deactivate.d": False,
    "post_link": False,
    "pre_link": False,
    "pre_unlink": False,
    "text_prefix": False,
}


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def paths(*entries: dict[str, str]) -> bytes:
    return json.dumps({"paths": entries, "paths_version": 1}).encode()


def test_an_index_json_is_read_back_as_it_was_written() -> None:
    index = {"name": "ä", "depends": ["x"], "app": {"deep": [1, 2.5, None, True]}}
    assert parse_index_json(json.dumps(index).encode(), "f") == index


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"{", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"\xff", "is not UTF-8"),
        ("{}".encode("utf-16"), "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON (Unexpected UTF-8 BOM"),
        (b'{"a": NaN}', "contains NaN, which is not valid in JSON"),
        (b'{"a": -Infinity}', "contains -Infinity, which is not valid in JSON"),
        (b'{"a": 1, "a": 1}', "contains a key twice"),
        (b'{"b": {"a": 1, "a": 2}}', "contains a key twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON (Exceeds the limit"),
        (b'{"a": "\n"}', "is not JSON (Invalid control character"),
    ],
)
def test_an_index_json_that_clients_would_read_differently_is_refused(
    body: bytes, why: str
) -> None:
    with pytest.raises(BadPackage) as refused:
        parse_index_json(body, "f.conda")
    assert refused.value.code == "index-json-invalid"
    assert refused.value.sentence.startswith(f"f.conda: its info/index.json {why}")


@pytest.mark.parametrize("levels", [JSON_DEPTH_MAX + 1, 500, 100_000])
def test_a_deep_index_json_is_refused_whatever_the_parser_can_bear(levels: int) -> None:
    with pytest.raises(BadPackage) as refused:
        parse_index_json(nested(levels), "f.conda")
    assert refused.value.code == "index-json-too-deep"


def test_a_reasonably_deep_index_json_is_read() -> None:
    assert parse_index_json(nested(JSON_DEPTH_MAX), "f") == json.loads(nested(JSON_DEPTH_MAX))


def run_exports(body: bytes | None) -> RunExports:
    return parse_run_exports_files({RUN_EXPORTS_JSON: body})


def test_run_exports_keep_the_groups_that_clients_know() -> None:
    body = b'{"weak": ["a >=1"], "strong": [], "new": ["b"], "schema_version": 2}'
    assert run_exports(body).groups == {"weak": ["a >=1"], "strong": [], "schema_version": 2}


@pytest.mark.parametrize(
    ("body", "groups"),
    [
        (b'["a"]', {"weak": ["a"]}),
        (b'{"weak": ["x >=1"], "strong": null}', {"weak": ["x >=1"]}),
        (b'{"weak": null, "schema_version": null}', {}),
        (b'\xef\xbb\xbf{"weak": ["a"]}', {"weak": ["a"]}),  # a byte order mark
        (b"{}", {}),
        (b"[]", {"weak": []}),
        (b"null", None),
    ],
)
def test_run_exports_whose_meaning_is_plain_are_read(
    body: bytes, groups: dict[str, list[str]] | None
) -> None:
    assert run_exports(body) == RunExports(groups)


UNREADABLE = [
    b"",
    b"1",
    b'"a"',
    b'{"weak": "a"}',
    b'{"weak": {"a": 1}}',
    b'{"weak": ["a"], "strong": ["b", null]}',
    b"[1]",
    b"[null]",
    b'{"weak": ["\\ud800"]}',
    b"[" * 100_000,
    b'{"weak": ["a"], "schema_version": 0}',
    b'{"weak": ["a"], "schema_version": 300}',
    b'{"weak": ["a"], "schema_version": true}',
    b'{"weak": ["a"], "schema_version": "2"}',
    b'\xff\xfe[\0"\0a\0"\0]\0',
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_run_exports_that_cannot_be_read_are_not_known_instead_of_none(body: bytes) -> None:
    read = run_exports(body)
    assert read.groups is None
    assert read.problem


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({RUN_EXPORTS_JSON: None}, "info/run_exports.json is larger than 256 KiB"),
        ({"info/run_exports.yaml": None}, "they are in info/run_exports.yaml"),
        ({"info/run_exports": None}, "they are in info/run_exports"),
        ({"info/run_exports.yaml": None, RUN_EXPORTS_JSON: b"{}"}, None),
        ({}, None),
    ],
)
def test_run_exports_in_a_file_that_is_not_read_are_not_known(
    files: dict[str, bytes | None], problem: str | None
) -> None:
    assert parse_run_exports_files(files).problem == problem


def test_channeldata_keeps_text_of_about_json_and_nothing_else() -> None:
    about = {
        "home": "https://example.org",
        "doc_url": ["https://a.example", "https://b.example"],
        "license": "",
        "summary": {"no": "text"},
        "description": "x" * CHANNELDATA_FIELD_BYTES_MAX,
        "root_pkgs": ["python 3.12"],
        "dev_url": None,
    }
    assert parse_channeldata_fields(json.dumps(about).encode(), None) == {
        "home": "https://example.org",
        "doc_url": ["https://a.example", "https://b.example"],
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"home":', nested(100_000)])
def test_malformed_about_and_paths_are_left_out(body: bytes) -> None:
    assert parse_channeldata_fields(body, body) == {}


def test_a_package_without_special_paths_has_every_flag_off() -> None:
    assert parse_channeldata_fields(None, paths({"_path": "lib/post-link.sh"})) == NO_FLAGS


@pytest.mark.parametrize(
    ("entry", "flag"),
    [
        ({"_path": "a", "prefix_placeholder": "/p", "file_mode": "binary"}, "binary_prefix"),
        ({"_path": "a", "prefix_placeholder": "/p", "file_mode": "text"}, "text_prefix"),
        ({"_path": "a", "prefix_placeholder": "/p"}, "text_prefix"),
        ({"_path": "etc/conda/activate.d/a.sh"}, "activate.d"),
        ({"_path": "etc/conda/deactivate.d/a.sh"}, "deactivate.d"),
        ({"_path": "bin/.a-post-link.sh"}, "post_link"),
        ({"_path": "Scripts/.a-pre-link.bat"}, "pre_link"),
        ({"_path": "bin/.a-pre-unlink.sh"}, "pre_unlink"),
    ],
)
def test_flags_follow_from_the_paths(entry: dict[str, str], flag: str) -> None:
    assert parse_channeldata_fields(None, paths(entry)) == NO_FLAGS | {flag: True}
