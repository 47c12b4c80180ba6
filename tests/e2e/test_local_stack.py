"""The ground that the other end-to-end tests stand on: is what runs here what was described?"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.deployed import Deployed

ROOT = Path(__file__).parents[2]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer for the Python that runs this."""
    target = tmp_path_factory.mktemp("layer")
    subprocess.run(
        ["make", "--silent", "build-SluiceLayer", f"ARTIFACTS_DIR={target}"],
        cwd=ROOT / "layers" / "sluice",
        env={
            **os.environ,
            "SLUICE_RUNTIME": PYTHON,
            "SLUICE_WHEELS": "host",
            "SLUICE_PYTHON": sys.executable,
        },
        check=True,
    )
    return target / "python"


@pytest.mark.parametrize("function", ["extract", "merge", "reconcile"])
def test_a_function_imports_nothing_that_is_not_in_the_layer(layer: Path, function: str) -> None:
    # MiniStack's functions see the packages of this environment behind those of the layer, so
    # one that is missing would not be missed.  -S leaves them out.
    paths = [str(ROOT / "functions" / function), str(layer)]
    script = f"import sys; sys.path[:0] = {paths!r}; import app; print(app.__file__)"
    environment = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": function,
        "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
    }
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stderr, ran.stdout.strip()) == ("", f"{paths[0]}/app.py")


def test_the_layer_holds_neither_the_command_line_nor_what_it_imports(layer: Path) -> None:
    assert (layer / "sluice" / "merge" / "handler.py").exists()
    assert not (layer / "sluice" / "cli").exists()
    assert [name for name in ("rich", "cyclopts", "pygments") if (layer / name).exists()] == []


def test_the_layer_carries_bytecode_where_this_python_can_make_it(layer: Path) -> None:
    sources = {path.relative_to(layer) for path in layer.glob("sluice/**/*.py")}
    compiled = {
        path.relative_to(layer).parent.parent / f"{path.name.split('.')[0]}.py"
        for path in layer.glob("sluice/**/*.pyc")
    }
    assert compiled == sources


def test_the_emulator_keeps_what_the_template_says_of_queues(deployed: Deployed) -> None:
    stack = deployed.stack
    asked = ["DelaySeconds", "FifoQueue", "RedrivePolicy", "VisibilityTimeout"]

    def attributes(url: str) -> dict[str, str]:
        found = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return {name: found[name] for name in asked if name in found}

    def arn(url: str) -> str:
        found = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return found["Attributes"]["QueueArn"]

    upload, merge = attributes(stack.upload_queue_url), attributes(stack.merge_queue_url)
    reconcile, slow = attributes(stack.reconcile_queue_url), attributes(stack.slow_upload_queue_url)
    assert json.loads(upload.pop("RedrivePolicy")) == {
        "deadLetterTargetArn": arn(stack.upload_dlq_url),
        "maxReceiveCount": 5,
    }
    assert json.loads(slow.pop("RedrivePolicy")) == {
        "deadLetterTargetArn": arn(stack.slow_upload_dlq_url),
        "maxReceiveCount": 5,
    }
    assert json.loads(merge.pop("RedrivePolicy")) == {
        "deadLetterTargetArn": arn(stack.merge_dlq_url),
        "maxReceiveCount": 20,
    }
    assert json.loads(reconcile.pop("RedrivePolicy")) == {
        "deadLetterTargetArn": arn(stack.reconcile_dlq_url),
        "maxReceiveCount": 5,
    }
    assert upload == slow == {"DelaySeconds": "0", "VisibilityTimeout": "330"}
    assert merge == {"DelaySeconds": "0", "FifoQueue": "true", "VisibilityTimeout": "330"}
    assert reconcile == {"DelaySeconds": "0", "FifoQueue": "true", "VisibilityTimeout": "960"}


def test_the_functions_run_on_this_python_and_machine(deployed: Deployed) -> None:
    stack = deployed.stack
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for name in (stack.extract_function, stack.merge_function, stack.reconcile_function):
        found = stack.functions.get_function_configuration(FunctionName=name)
        assert (found["Runtime"], found["Architectures"]) == (PYTHON, [machine])


def test_concurrency_is_a_number_again(deployed: Deployed) -> None:
    mappings = deployed.stack.functions.list_event_source_mappings()["EventSourceMappings"]
    scaling = [one["ScalingConfig"] for one in mappings if one.get("ScalingConfig")]
    assert len(scaling) == 4
    assert {type(one["MaximumConcurrency"]) for one in scaling} == {int}
