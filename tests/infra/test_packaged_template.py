"""The template of a release says what template.yaml says, in plain CloudFormation."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from local.release.functions import FUNCTIONS, Target
from local.release.packaged_template import CODE_PARAMETERS, packaged_template
from tests.support.template import ROOT

CODE = "0.1.0-0123456789ab"
ALL = [
    Target(f"python3.{minor}", machine)
    for minor in (11, 12, 13, 14)
    for machine in ("arm64", "x86_64")
]
TEMPLATE_URL_BYTES_MAX = 1_000_000
"""Quotas of CloudFormation: "Template body size in an Amazon S3 object"."""
SOURCE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def packaged() -> dict[str, Any]:
    return packaged_template(CODE, ALL)


def _of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    resources = template["Resources"].items()
    return {name: resource for name, resource in resources if resource["Type"] == kind}


def test_it_has_no_macro_which_stack_sets_refuse(packaged: dict[str, Any]) -> None:
    assert "Transform" not in packaged
    text = json.dumps(packaged)
    assert "AWS::Serverless" not in text
    assert "Fn::Transform" not in text
    assert len(text) <= TEMPLATE_URL_BYTES_MAX / 2


def test_all_code_comes_from_the_folder_of_the_release(packaged: dict[str, Any]) -> None:
    functions = _of_type(packaged, "AWS::Lambda::Function")
    keys = {name: resource["Properties"]["Code"] for name, resource in functions.items()}
    assert keys == {
        f"{name.title()}Function": {
            "S3Bucket": {"Ref": "CodeBucket"},
            "S3Key": {"Fn::Sub": f"${{CodePrefix}}{CODE}/{name}.zip"},
        }
        for name in FUNCTIONS
    }
    (layer,) = _of_type(packaged, "AWS::Lambda::LayerVersion").values()
    key = layer["Properties"]["Content"]["S3Key"]["Fn::Sub"]
    for target in ALL:
        named = key.replace("${Runtime}", target.runtime)
        named = named.replace("${Architecture}", target.architecture)
        assert named == f"${{CodePrefix}}{CODE}/{target.layer}"


def test_another_release_is_another_layer_and_other_code(packaged: dict[str, Any]) -> None:
    """Otherwise CloudFormation would see nothing to update."""
    other = packaged_template("0.2.0-ba9876543210", ALL)
    kinds = ("AWS::Lambda::Function", "AWS::Lambda::LayerVersion")
    for kind in kinds:
        ours, theirs = _of_type(packaged, kind), _of_type(other, kind)
        assert all(ours.get(name) != resource for name, resource in theirs.items())


def test_everything_else_is_as_template_yaml_has_it(packaged: dict[str, Any]) -> None:
    ours = {"Runtime", "Architecture", *CODE_PARAMETERS}
    parameters = packaged["Parameters"].items()
    assert {name: one for name, one in parameters if name not in ours} == {
        name: one for name, one in SOURCE["Parameters"].items() if name not in ours
    }
    for section in ("Conditions", "Rules", "Outputs", "Metadata"):
        assert packaged[section] == SOURCE[section]
    plain = {
        name: resource
        for name, resource in SOURCE["Resources"].items()
        if not resource["Type"].startswith("AWS::Serverless")
    }
    assert {name: packaged["Resources"][name] for name in plain} == plain
    # sam deploy makes the same ids, so a stack can go from one way to the other.
    assert packaged["Resources"].keys() >= SOURCE["Resources"].keys() - {"SluiceLayer"}


def test_it_names_no_partition_no_region_and_no_account(packaged: dict[str, Any]) -> None:
    """The translator asks its environment for a region."""
    source = set(re.findall(r"arn:aws[\w-]*:|us-[a-z]+-\d", (ROOT / "template.yaml").read_text()))
    text = json.dumps(packaged)
    assert set(re.findall(r"arn:aws[\w-]*:|us-[a-z]+-\d", text)) <= source


def test_only_what_there_is_a_layer_for_can_be_chosen() -> None:
    parameters = packaged_template(CODE, [Target("python3.12", "x86_64")])["Parameters"]
    runtime, architecture = parameters["Runtime"], parameters["Architecture"]
    assert (runtime["AllowedValues"], runtime["Default"]) == (["python3.12"], "python3.12")
    assert (architecture["AllowedValues"], architecture["Default"]) == (["x86_64"], "x86_64")


def test_where_there_are_all_layers_the_defaults_are_those_of_template_yaml(
    packaged: dict[str, Any],
) -> None:
    for name in ("Runtime", "Architecture"):
        ours, theirs = packaged["Parameters"][name], SOURCE["Parameters"][name]
        assert (ours["AllowedValues"], ours["Default"]) == (
            theirs["AllowedValues"],
            theirs["Default"],
        )


@pytest.mark.parametrize(
    ("prefix", "is_taken"),
    [
        ("", True),
        ("sluice/", True),
        ("tools/sluice-1.0/", True),
        ("sluice", False),
        ("/", False),
        ("a//", False),
        ("a b/", False),
    ],
)
def test_a_prefix_of_the_code_is_empty_or_ends_with_a_slash(prefix: str, *, is_taken: bool) -> None:
    pattern = CODE_PARAMETERS["CodePrefix"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, prefix)) == is_taken
