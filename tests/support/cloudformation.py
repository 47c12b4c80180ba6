"""What CloudFormation makes of ``template.yaml`` for given parameters: its intrinsic functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.support.template import TEMPLATE

NO_VALUE = {"Ref": "AWS::NoValue"}
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "sluice",
    "AWS::URLSuffix": "amazonaws.com",
}
_VARIABLE = re.compile(r"\$\{([A-Za-z:.]+)\}")


class Deployment:
    """The template with some of its parameters given; the others have their defaults.

    Of resources nothing is known but their names, so what refers to one stays as it is.
    """

    def __init__(self, **parameters: str | float) -> None:
        """``parameters``: by name; CloudFormation compares and joins them as strings."""
        known = {name: one["Default"] for name, one in TEMPLATE["Parameters"].items()}
        assert not parameters.keys() - known.keys()
        self.parameters = {name: str(value) for name, value in (known | parameters).items()}

    def condition(self, name: str) -> bool:
        """Tell whether a condition holds."""
        return bool(self.resolve(TEMPLATE["Conditions"][name]))

    def properties(self, name: str) -> dict[str, Any]:
        """The properties of a resource."""
        found: dict[str, Any] = self.resolve(TEMPLATE["Resources"][name]["Properties"])
        return found

    def has(self, name: str) -> bool:
        """Tell whether a resource is made."""
        condition = TEMPLATE["Resources"][name].get("Condition")
        return condition is None or self.condition(condition)

    def resolve(self, node: Any) -> Any:
        """Carry out the functions of a part of the template."""
        match node:
            case list():
                resolved = [self.resolve(one) for one in node]
                return [one for one in resolved if one != NO_VALUE]
            case dict() if len(node) == 1:
                return self._resolve_single(*next(iter(node.items())))
            case dict():
                resolved_items = ((key, self.resolve(value)) for key, value in node.items())
                return {key: value for key, value in resolved_items if value != NO_VALUE}
        return node

    def _resolve_single(self, name: str, argument: Any) -> Any:
        """A mapping of one key, which may be a function."""
        match name, argument:
            case "If", [str(condition), then, otherwise]:
                return self.resolve(then if self.condition(condition) else otherwise)
            case "Condition", str(condition) if condition in TEMPLATE["Conditions"]:
                return self.condition(condition)
            case "Ref", str(what):
                return self._value(what)
            case "Sub", _:
                text, variables = argument if isinstance(argument, list) else (argument, {})
                return self._substitute(text, self._resolve_all(variables))
        resolved = self.resolve(argument)
        if name in ("Equals", "Not", "And", "Or"):
            return self._decide(name, resolved)
        return self._of_text(name, resolved)

    def _resolve_all(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.resolve(value) for name, value in variables.items()}

    @staticmethod
    def _decide(name: str, values: list[Any]) -> bool:
        match name, values:
            case "Equals", [left, right]:
                return str(left) == str(right)
            case "Not", [value]:
                return not value
        return all(values) if name == "And" else any(values)

    @staticmethod
    def _of_text(name: str, argument: Any) -> Any:
        match name, argument:
            case "Select", [index, values]:
                return values[int(index)]
            case "Split", [separator, text]:
                return text.split(separator)
            case "Join", [separator, values]:
                return separator.join(values)
        return {name: argument}

    def _value(self, name: str) -> Any:
        known = {**PSEUDO, **self.parameters}
        return known.get(name, {"Ref": name})

    def _substitute(self, text: str, variables: Mapping[str, Any]) -> str:
        known = {**PSEUDO, **self.parameters, **variables}

        def value(match: re.Match[str]) -> str:
            return str(known[match[1]]) if match[1] in known else match[0]

        return _VARIABLE.sub(value, text)
