"""A release as its users deploy it: files in a bucket, and CloudFormation, without make and SAM."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from local import clients
from local.differences import make_up_for_differences
from local.emulator import Emulator
from local.release.archives import files_below, write_zip
from local.release.release import STACK_FOLDER, Release, template_name
from local.stack import EXTRACT_CONCURRENCY, STACK_NAME, Stack, describe
from sluice import __version__

CODE_BUCKET, CODE_PREFIX = "code-of-releases", "tools/sluice/"
_PARAMETERS = {
    "CodeBucket": CODE_BUCKET,
    "CodePrefix": CODE_PREFIX,
    "DebounceSeconds": "3",
    "ExtractConcurrency": str(EXTRACT_CONCURRENCY),
}


def deploy_release(
    running: Emulator, release: Release, action: Literal["create", "update"], **parameters: str
) -> Stack:
    """Upload a release as its docs say, and create or update the stack from its template."""
    s3 = clients.s3(running.endpoint, running.ca_bundle)
    s3.create_bucket(Bucket=CODE_BUCKET)
    for name, path in files_below(release.folder / STACK_FOLDER).items():
        s3.put_object(Bucket=CODE_BUCKET, Key=CODE_PREFIX + name, Body=path.read_bytes())
    client = clients.cloudformation(running.endpoint, running.ca_bundle)
    request: Mapping[str, Any] = {
        "StackName": STACK_NAME,
        "TemplateURL": f"{running.endpoint}/{CODE_BUCKET}/{CODE_PREFIX}{template_name()}",
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {**_PARAMETERS, **parameters}.items()
        ],
        "Capabilities": ["CAPABILITY_IAM"],  # and no CAPABILITY_AUTO_EXPAND, which a macro needs
    }
    waiting: Any = {"StackName": STACK_NAME, "WaiterConfig": {"Delay": 1, "MaxAttempts": 120}}
    if action == "create":
        client.create_stack(**request)
        client.get_waiter("stack_create_complete").wait(**waiting)
    else:
        client.update_stack(**request)
        client.get_waiter("stack_update_complete").wait(**waiting)
    make_up_for_differences(
        clients.functions(running.endpoint, running.ca_bundle),
        clients.iam(running.endpoint, running.ca_bundle),
    )
    return describe(running)


def next_release(release: Release, folder: Path, version: str) -> Release:
    """The same code as another release: what is uploaded and deployed differs as it would."""
    code = release.code.replace(__version__, version)
    shutil.copytree(release.folder / STACK_FOLDER / release.code, folder / STACK_FOLDER / code)
    (layer,) = (folder / STACK_FOLDER / code).glob("layer-*.zip")
    unpacked = folder / "layer"
    with zipfile.ZipFile(layer) as archive:
        archive.extractall(unpacked)
    package = unpacked / "python" / "sluice"
    shutil.rmtree(package / "__pycache__")  # unchecked, so it would hide the change
    source = (package / "__init__.py").read_text(encoding="utf-8")
    (package / "__init__.py").write_text(_renamed(source, version), encoding="utf-8")
    write_zip(layer, files_below(unpacked))
    text = release.template.read_text(encoding="utf-8")
    template = json.loads(_renamed(text.replace(release.code, code), version))
    (folder / STACK_FOLDER / template_name()).write_text(json.dumps(template), encoding="utf-8")
    return Release(folder, code)


def _renamed(text: str, version: str) -> str:
    return text.replace(f'"{__version__}"', f'"{version}"')
