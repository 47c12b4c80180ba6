"""The JSON files of ``info/`` (CEP 34): which fields are taken from each of them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from sluice.conda.run_exports import NO_RUN_EXPORTS, RunExports, interpret_run_exports
from sluice.errors import DECODE_ERRORS, BadPackage
from sluice.limits import (
    CHANNELDATA_FIELD_BYTES_MAX,
    JSON_DEPTH_MAX,
    KIB,
    RUN_EXPORTS_JSON_BYTES_MAX,
)
from sluice.package.tar_stream import OTHER_RUN_EXPORTS, RUN_EXPORTS_JSON

T = TypeVar("T")

_LINK_ACTION = re.compile(r"-(pre-link|post-link|pre-unlink)\.")


def parse_index_json(body: bytes, file: str) -> dict[str, Any]:
    """Parse ``info/index.json`` strictly; ``file`` is the package's name.

    A duplicate key is refused at any depth.  Parsers take the first, the last or neither, so
    clients would disagree about the package.
    """
    try:
        index = _strict_decoder.decode(_decode_text(body))
    except RecursionError as error:
        raise _too_deep(file) from error
    except _NotIndexJson as error:
        raise _invalid(file, str(error)) from None
    except ValueError as error:
        raise _invalid(file, f"is not JSON ({error})") from None
    if not isinstance(index, dict):
        raise _invalid(file, "is not a JSON object")
    # Few braces and brackets, which may also stand in strings, nest no deeper than they are many.
    is_shallow = body.count(b"{") + body.count(b"[") <= JSON_DEPTH_MAX
    if not is_shallow and _is_deeper_than(index, JSON_DEPTH_MAX):
        raise _too_deep(file)
    return index


class _NotIndexJson(Exception):
    """What is wrong, as the end of a clause."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _NotIndexJson("contains a key twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise _NotIndexJson(f"contains {name}, which is not valid in JSON")


def _decode_text(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _NotIndexJson("is not UTF-8") from None
    if text.startswith("\ufeff"):  # as json.loads says it
        raise json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0)
    return text


def _invalid(file: str, reason: str) -> BadPackage:
    return BadPackage("index-json-invalid", f"{file}: its info/index.json {reason}.")


_strict_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def parse_run_exports_files(files: Mapping[str, bytes | None]) -> RunExports:
    """Parse ``info/run_exports.json`` from ``files``, by name; ``None``: a file that was not read.

    Builders once wrote other formats, which are not read: a package with one of them alone has run
    exports that are not known.
    """
    if RUN_EXPORTS_JSON not in files:
        others = [name for name in OTHER_RUN_EXPORTS if name in files]
        return RunExports(problem=f"they are in {others[0]}") if others else NO_RUN_EXPORTS
    body = files[RUN_EXPORTS_JSON]
    if body is None:
        limit = RUN_EXPORTS_JSON_BYTES_MAX // KIB
        return RunExports(problem=f"info/run_exports.json is larger than {limit} KiB")
    try:
        value = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except DECODE_ERRORS:
        return RunExports(problem="info/run_exports.json is not JSON")
    if value is None:
        return NO_RUN_EXPORTS
    return interpret_run_exports(value)


def parse_channeldata_fields(about_json: bytes | None, paths_json: bytes | None) -> dict[str, Any]:
    """The fields of ``about.json`` and ``paths.json`` for ``channeldata.json`` (CEP 38).

    Missing, malformed and too large fields are left out.  The flags are left out only together.
    """
    return _about_fields(about_json) | _channeldata_flags(paths_json)


class _About(msgspec.Struct):
    """The fields of channeldata that recipes set; each is validated on its own."""

    description: msgspec.Raw = msgspec.Raw()
    dev_url: msgspec.Raw = msgspec.Raw()
    doc_source_url: msgspec.Raw = msgspec.Raw()
    doc_url: msgspec.Raw = msgspec.Raw()
    home: msgspec.Raw = msgspec.Raw()
    icon_url: msgspec.Raw = msgspec.Raw()
    identifiers: msgspec.Raw = msgspec.Raw()
    keywords: msgspec.Raw = msgspec.Raw()
    license: msgspec.Raw = msgspec.Raw()
    recipe_origin: msgspec.Raw = msgspec.Raw()
    source_url: msgspec.Raw = msgspec.Raw()
    summary: msgspec.Raw = msgspec.Raw()
    tags: msgspec.Raw = msgspec.Raw()


class _Path(msgspec.Struct, gc=False):
    """One entry of ``paths.json``.  The required key bounds how many fit in a file."""

    path: str = msgspec.field(name="_path")
    file_mode: str | None = None
    prefix_placeholder: str | None = None


class _Paths(msgspec.Struct):
    paths: list[_Path]


# A decoder that is made once; to make one takes longer than to decode.
_about_decoder: msgspec.json.Decoder[_About] = msgspec.json.Decoder(_About)
_paths_decoder: msgspec.json.Decoder[_Paths] = msgspec.json.Decoder(_Paths)
_text_decoder: msgspec.json.Decoder[str | list[str]] = msgspec.json.Decoder(str | list[str])


def _about_fields(about_json: bytes | None) -> dict[str, Any]:
    parsed = _parse_optional(about_json, _about_decoder)
    if parsed is None:
        return {}
    fields = {}
    for name in _About.__struct_fields__:
        raw = getattr(parsed, name)
        if 0 < len(raw) <= CHANNELDATA_FIELD_BYTES_MAX:
            value = _parse_optional(bytes(raw), _text_decoder)
            if value:
                fields[name] = value
    return fields


def _channeldata_flags(paths_json: bytes | None) -> dict[str, bool]:
    parsed = _parse_optional(paths_json, _paths_decoder)
    if parsed is None:
        return {}
    with_prefix = [entry.file_mode for entry in parsed.paths if entry.prefix_placeholder]
    names = [entry.path for entry in parsed.paths]
    scripts = {action for action in map(_link_action, names) if action}
    return {
        "activate.d": any(name.startswith("etc/conda/activate.d") for name in names),
        "binary_prefix": "binary" in with_prefix,
        "deactivate.d": any(name.startswith("etc/conda/deactivate.d") for name in names),
        "post_link": "post-link" in scripts,
        "pre_link": "pre-link" in scripts,
        "pre_unlink": "pre-unlink" in scripts,
        "text_prefix": any(mode != "binary" for mode in with_prefix),  # CEP 34's default is text
    }


def _link_action(path: str) -> str | None:
    """The action of ``bin/.foo-post-link.sh``; conda-index recognizes scripts in the same way."""
    _, _, hidden = path.partition("/.")
    actions = _LINK_ACTION.findall(hidden)
    return actions[-1] if actions else None


def _parse_optional(body: bytes | None, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Parse optional metadata; ``None`` if it is missing or has another form."""
    if body is None:
        return None
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_deeper_than(value: object, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _containers_in(outer)]
    return bool(layer)


def _containers_in(value: object) -> list[object]:
    items = value.values() if isinstance(value, dict) else value
    assert isinstance(items, Iterable)
    return [item for item in items if isinstance(item, dict | list)]


def _too_deep(file: str) -> BadPackage:
    return BadPackage(
        "index-json-too-deep",
        f"{file}: its info/index.json is nested deeper than {JSON_DEPTH_MAX} levels.",
    )
