"""Terraform's module and CDK's app name what a release and its template have.

They are read here and not run: neither Terraform nor Node's CDK is among the tools of this clone.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from typing import Any

import pytest

from local.release.packaged_template import CODE_PARAMETERS
from local.release.release import template_name
from sluice import __version__
from tests.support.template import ROOT, TEMPLATE

DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".venv-release"
PARAMETERS = {*TEMPLATE["Parameters"], *CODE_PARAMETERS}


@pytest.fixture(scope="module")
def terraform() -> dict[str, Any]:
    """The module, with text in the quotes of its own language."""
    if not TOOLS.is_dir():
        pytest.skip("python-hcl2 is not installed: run make test")
    script = "import hcl2, json, sys; print(json.dumps([hcl2.load(open(f)) for f in sys.argv[1:]]))"
    files = [str(path) for path in sorted((DEPLOY / "terraform").glob("*.tf"))]
    ran = subprocess.run(
        [TOOLS / "bin" / "python", "-c", script, *files], check=True, capture_output=True
    )
    whole: dict[str, Any] = {}
    for document in json.loads(ran.stdout):
        for kind, blocks in document.items():
            for block in blocks:
                for name, body in block.items():
                    whole.setdefault(kind, {}).setdefault(name.strip('"'), body)
    return whole


def test_terraform_deploys_the_template_and_the_code_of_a_release(
    terraform: dict[str, Any],
) -> None:
    (stack,) = terraform["resource"]["aws_cloudformation_stack"].values()
    url = stack["template_url"].strip('"').replace("${var.release}", __version__)
    assert url.endswith("${var.code_prefix}" + template_name())
    assert stack["capabilities"] == ['"CAPABILITY_IAM"']
    assert set(re.findall(r"(\w+) = ", stack["parameters"])) == set(CODE_PARAMETERS)


def test_terraform_uses_each_variable_and_no_other(terraform: dict[str, Any]) -> None:
    used = set(re.findall(r"var\.(\w+)", json.dumps(terraform)))
    assert used == set(terraform["variable"])
    required = {name for name, one in terraform["variable"].items() if "default" not in one}
    assert required == {"release", "code_bucket"}
    named = re.findall(r'outputs\[\\"(\w+)\\"\]', json.dumps(terraform["output"]))
    assert named
    assert set(named) <= set(TEMPLATE["Outputs"])


def test_cdk_includes_the_template_with_parameters_that_it_has() -> None:
    tree = ast.parse((DEPLOY / "cdk" / "app.py").read_text(encoding="utf-8"))
    (given,) = (
        keyword.value
        for keyword in ast.walk(tree)
        if isinstance(keyword, ast.keyword) and keyword.arg == "parameters"
    )
    assert isinstance(given, ast.Dict)
    names = {key.value for key in given.keys if isinstance(key, ast.Constant)}
    assert names >= set(CODE_PARAMETERS)
    assert names <= PARAMETERS
    outputs = re.findall(r"get_output\('(\w+)'\)", ast.unparse(tree))
    assert outputs
    assert set(outputs) <= set(TEMPLATE["Outputs"])
