"""The template of a release: plain CloudFormation that names its code in a bucket of yours.

It is translated here, and not by CloudFormation, because stack sets with service-managed
permissions take no template with a transform ("StackSets with service-managed permissions don't
currently support the use of macros in templates", AWS::Serverless included: CreateStackSet), and
because CDK's CfnInclude and Terraform then see every resource that they create.  The logical ids
are those that ``sam deploy`` makes, so a stack can go from one way to the other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from local.release.functions import Target, function_zip
from local.template import TEMPLATE

CODE_PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "CodeBucket": {
        "Type": "String",
        "Description": "Name of the bucket with the code of this release, in the region of the "
        "stack.",
        "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        "ConstraintDescription": "must be a valid bucket name",
    },
    "CodePrefix": {
        "Type": "String",
        "Default": "",
        "Description": "Key prefix of the code in that bucket, with a slash at the end, for "
        'example "sluice/". Empty: the root of the bucket.',
        "AllowedPattern": "^$|^[A-Za-z0-9_.!/-]*[A-Za-z0-9_.!-]/$",
        "ConstraintDescription": "must be empty or a prefix that ends with a slash",
    },
}
_LAYER = "AWS::Serverless::LayerVersion"
_FUNCTION = "AWS::Serverless::Function"
_LAYER_KEY = "layer-${Runtime}-${Architecture}.zip"


class _NoManagedPolicies:
    """The roles of the template name all of theirs themselves."""

    def load(self) -> dict[str, str]:
        return {}


def packaged_template(folder: str, targets: Sequence[Target]) -> dict[str, Any]:
    """The template of a release whose zips lie in ``folder`` below ``CodePrefix``.

    Only what there is a layer for can be chosen as ``Runtime`` and ``Architecture``.
    """
    source: dict[str, Any] = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    source["Parameters"].update({key: dict(value) for key, value in CODE_PARAMETERS.items()})
    _restrict(source["Parameters"]["Runtime"], [target.runtime for target in targets])
    _restrict(source["Parameters"]["Architecture"], [target.architecture for target in targets])
    source["Parameters"]["Runtime"]["Description"] = "Python runtime of the functions."
    source["Parameters"]["Architecture"]["Description"] = "Processor architecture of the functions."
    for name, resource in source["Resources"].items():
        if resource["Type"] == _FUNCTION:
            zip_name = function_zip(name.removesuffix("Function").lower())
            resource["Properties"]["CodeUri"] = _code(folder, zip_name)
            del resource["Metadata"]["BuildMethod"]
        elif resource["Type"] == _LAYER:
            resource["Properties"]["ContentUri"] = _code(folder, _LAYER_KEY)
            del resource["Metadata"]
    # It asks the environment for a region, and nobody for anything.
    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": "us-east-1"}):
        plain: dict[str, Any] = transform(source, {}, _NoManagedPolicies())
    return plain


def _restrict(parameter: dict[str, Any], values: Sequence[str]) -> None:
    parameter["AllowedValues"] = sorted(set(values), key=parameter["AllowedValues"].index)
    if parameter["Default"] not in values:
        parameter["Default"] = parameter["AllowedValues"][-1]


def _code(folder: str, name: str) -> dict[str, Any]:
    key = {"Fn::Sub": f"${{CodePrefix}}{folder}/{name}"}
    return {"Bucket": {"Ref": "CodeBucket"}, "Key": key}
