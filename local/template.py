"""``template.yaml`` as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parents[1] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Reads ``!GetAtt A.B`` as ``{"GetAtt": "A.B"}``."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            return {suffix: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {suffix: loader.construct_sequence(node, deep=True)}
    raise ValueError(f"!{suffix} of a mapping")


_Loader.add_multi_constructor("!", _intrinsic)


def read_template() -> Mapping[str, Any]:
    """Read the template, its intrinsic functions as mappings of one key."""
    found: Mapping[str, Any] = yaml.load(
        TEMPLATE.read_text(),
        Loader=_Loader,  # noqa: S506 - a SafeLoader
    )
    return found
