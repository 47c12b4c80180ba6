"""``template.yaml`` as data: its resources, and what each role allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from local.template import read_template

ROOT = Path(__file__).parents[2]
_ARN = "arn:${AWS::Partition}:s3:::"


TEMPLATE: Mapping[str, Any] = read_template()
RESOURCES: Mapping[str, Any] = TEMPLATE["Resources"]
GLOBAL_VARIABLES: Mapping[str, Any] = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
CHANNEL: Mapping[str, Any] = GLOBAL_VARIABLES["CHANNEL_BUCKET"]
"""What stands for the name of the channel bucket, whoever made it."""
STATE: Mapping[str, Any] = GLOBAL_VARIABLES["STATE_BUCKET"]


def properties(name: str) -> Mapping[str, Any]:
    """The properties of a resource."""
    found: Mapping[str, Any] = RESOURCES[name]["Properties"]
    return found


def of_type(kind: str) -> list[str]:
    """The names of all resources of a type."""
    return [name for name, resource in RESOURCES.items() if resource["Type"] == kind]


def policy_statements(role: str) -> Iterator[Mapping[str, Any]]:
    """The statements of a role's own policies, conditional ones included."""
    for policy in properties(role)["Policies"]:
        for one in policy["PolicyDocument"]["Statement"]:
            yield one["If"][1] if "If" in one else one


def statements(role: str) -> Iterator[tuple[str, str]]:
    """Every action that a role's own policies allow, with every resource.

    A resource is ``Channel`` or ``State`` with what follows in its ARN, or a logical id, or the
    name of a parameter.  What the policies deny is left out (``test_narrow_rights``).
    """
    for one in policy_statements(role):
        if one["Effect"] != "Allow":
            continue
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        for resource in resources:
            yield from ((action, _resource(resource)) for action in actions)


def may(role: str, action: str, bucket: str, key: str) -> bool:
    """Tell whether a role allows ``action`` on a key of the ``Channel`` or the ``State`` bucket."""
    # "[" would begin a set of characters, "*" and "?" mean the same as in IAM.
    return any(
        one == action and fnmatchcase(f"{bucket}/{key}", resource.replace("[", "[[]"))
        for one, resource in statements(role)
    )


def _resource(resource: Mapping[str, Any]) -> str:
    match resource:
        case {"Sub": [str(text), {"Channel": name}]} if name == CHANNEL:
            return text.removeprefix(_ARN).replace("${Channel}", "Channel")
        case {"Sub": [str(text), {"State": name}]} if name == STATE:
            return text.removeprefix(_ARN).replace("${State}", "State")
        case {"GetAtt": str(attribute)}:
            return attribute.removesuffix(".Arn")
        case {"Ref": str(parameter)}:
            return parameter
    raise AssertionError(f"a resource of a kind that no test knows: {resource}")
