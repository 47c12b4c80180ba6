"""The stack of ``template.yaml`` in MiniStack: built, deployed, described."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local import clients, emulator
from local.differences import make_up_for_differences
from local.emulator import CREDENTIALS, Emulator

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".local"
"""Where ``make local-up`` keeps everything."""
STACK_ENV = "stack.env"

_CONFIG = ["--config-env", "local"]
STACK_NAME = "sluice"
"""Of the stack that is deployed here."""
_ARTIFACTS_BUCKET = "sluice-local-artifacts"
_ARCHITECTURES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
# A fresh function is a process that starts on this machine's few cores: not fifty at once.
EXTRACT_CONCURRENCY = 2
"""Of a stack that runs here."""

Say = Callable[[str], None]


class StackError(RuntimeError):
    """``sam`` failed; the message has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack and how to reach it."""

    endpoint: str
    channel_bucket: str
    state_bucket: str
    upload_queue_url: str
    upload_dlq_url: str
    slow_upload_queue_url: str
    slow_upload_dlq_url: str
    merge_queue_url: str
    merge_dlq_url: str
    reconcile_queue_url: str
    reconcile_dlq_url: str
    extract_function: str
    merge_function: str
    reconcile_function: str
    pid: int
    """Of MiniStack."""
    ca_bundle: Path | None = None
    """The authority that clients must trust if the stack is reached over TLS."""

    @property
    def s3(self) -> S3Client:
        """A client for the stack's S3."""
        return clients.s3(self.endpoint, self.ca_bundle)

    @property
    def sqs(self) -> SQSClient:
        """A client for the stack's queues."""
        return clients.sqs(self.endpoint, self.ca_bundle)

    @property
    def functions(self) -> LambdaClient:
        """A client for the stack's functions."""
        return clients.functions(self.endpoint, self.ca_bundle)

    def environment(self) -> dict[str, str]:
        """What a shell needs to work with the stack; the keys of ``stack.env``."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            **CREDENTIALS,
            "CHANNEL_BUCKET": self.channel_bucket,
            "STATE_BUCKET": self.state_bucket,
            "UPLOAD_QUEUE_URL": self.upload_queue_url,
            "UPLOAD_DLQ_URL": self.upload_dlq_url,
            "SLOW_UPLOAD_QUEUE_URL": self.slow_upload_queue_url,
            "SLOW_UPLOAD_DLQ_URL": self.slow_upload_dlq_url,
            "MERGE_QUEUE_URL": self.merge_queue_url,
            "MERGE_DLQ_URL": self.merge_dlq_url,
            "RECONCILE_QUEUE_URL": self.reconcile_queue_url,
            "RECONCILE_DLQ_URL": self.reconcile_dlq_url,
            "EXTRACT_FUNCTION": self.extract_function,
            "MERGE_FUNCTION": self.merge_function,
            "RECONCILE_FUNCTION": self.reconcile_function,
            "SLUICE_STACK": STACK_NAME,
            "SLUICE_PID": str(self.pid),
        }

    def write(self, path: Path) -> None:
        """Write ``environment`` as a file that a shell can source."""
        lines = (f"{key}={shlex.quote(value)}\n" for key, value in self.environment().items())
        path.write_text("".join(lines))

    @classmethod
    def read(cls, path: Path) -> Stack:
        """Read what ``write`` wrote; raises ``FileNotFoundError``."""
        pairs = (shlex.split(line)[0].partition("=") for line in path.read_text().splitlines())
        values = {key: value for key, _, value in pairs}
        return cls(
            endpoint=values["AWS_ENDPOINT_URL"],
            channel_bucket=values["CHANNEL_BUCKET"],
            state_bucket=values["STATE_BUCKET"],
            upload_queue_url=values["UPLOAD_QUEUE_URL"],
            upload_dlq_url=values["UPLOAD_DLQ_URL"],
            slow_upload_queue_url=values["SLOW_UPLOAD_QUEUE_URL"],
            slow_upload_dlq_url=values["SLOW_UPLOAD_DLQ_URL"],
            merge_queue_url=values["MERGE_QUEUE_URL"],
            merge_dlq_url=values["MERGE_DLQ_URL"],
            reconcile_queue_url=values["RECONCILE_QUEUE_URL"],
            reconcile_dlq_url=values["RECONCILE_DLQ_URL"],
            extract_function=values["EXTRACT_FUNCTION"],
            merge_function=values["MERGE_FUNCTION"],
            reconcile_function=values["RECONCILE_FUNCTION"],
            pid=int(values["SLUICE_PID"]),
        )


@contextmanager
def run_stack(
    home: Path,
    *,
    debounce_seconds: int = 3,
    parameters: Mapping[str, str] | None = None,
    strict: bool = False,
    say: Say = lambda _: None,
) -> Iterator[Stack]:
    """Run the whole stack while in the context.

    ``home`` gets the build and the logs, and holds one stack at a time; ``parameters`` override
    the template's; ``strict`` has all policies enforced, see ``run_emulator``.  Everything ends
    with the context, or with this process.
    """
    with emulator.run_emulator(home, strict=strict) as running:
        yield deploy(
            running, home, debounce_seconds=debounce_seconds, parameters=parameters, say=say
        )


def start_stack(
    home: Path,
    *,
    debounce_seconds: int,
    parameters: Mapping[str, str],
    port: int | None,
    say: Say,
) -> Stack:
    """Start the whole stack, leave it running and write ``stack.env``."""
    running = emulator.start_emulator(home, port=port)
    try:
        stack = deploy(
            running, home, debounce_seconds=debounce_seconds, parameters=parameters, say=say
        )
        stack.write(home / STACK_ENV)
    except BaseException:
        emulator.stop_emulator(home, running.pid)
        raise
    return stack


def stop_stack(home: Path) -> bool:
    """End what ``start_stack`` started; ``False`` if there was nothing to end."""
    path = home / STACK_ENV
    if not path.exists():
        return False
    ended = emulator.stop_emulator(home, Stack.read(path).pid)
    path.unlink()
    return ended


def deploy(
    running: Emulator,
    home: Path,
    *,
    debounce_seconds: int = 3,
    parameters: Mapping[str, str] | None = None,
    say: Say = lambda _: None,
) -> Stack:
    """Build the stack and deploy it, for the first time or again, into a MiniStack that runs."""
    say(f"MiniStack answers at {running.endpoint}")
    parameters = {
        **host_parameters(),
        "DebounceSeconds": str(debounce_seconds),
        "ExtractConcurrency": str(EXTRACT_CONCURRENCY),
        **(parameters or {}),
    }
    built = build(home, parameters, wheels="host")
    say("sam build: done")
    where = (running.endpoint, running.ca_bundle)
    clients.s3(*where).create_bucket(Bucket=_ARTIFACTS_BUCKET)
    arguments = ["deploy", "--template-file", str(built), "--stack-name", STACK_NAME]
    arguments += ["--s3-bucket", _ARTIFACTS_BUCKET]
    arguments += ["--parameter-overrides", *overrides(parameters)]
    trust = {"AWS_CA_BUNDLE": str(running.ca_bundle)} if running.ca_bundle else {}
    _sam(home, arguments, {"AWS_ENDPOINT_URL": running.endpoint, **trust})
    make_up_for_differences(clients.functions(*where), clients.iam(*where))
    say("sam deploy: done")
    return describe(running)


def delete(running: Emulator) -> None:
    """Delete the stack, as ``sam delete`` does on AWS; what it retains stays."""
    client = clients.cloudformation(running.endpoint, running.ca_bundle)
    client.delete_stack(StackName=STACK_NAME)
    client.get_waiter("stack_delete_complete").wait(
        StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def host_parameters() -> dict[str, str]:
    """The template parameters that fit this Python on this machine."""
    return {
        "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Architecture": _ARCHITECTURES[platform.machine()],
    }


def build(home: Path, parameters: Mapping[str, str], *, wheels: str) -> Path:
    """Run ``sam build`` and return the built template.

    ``wheels`` is for the layer's Makefile: ``host`` or ``lambda``.
    """
    target = home / "build"
    _sam(
        home,
        ["build", "--build-dir", str(target), "--parameter-overrides", *overrides(parameters)],
        {
            "SLUICE_RUNTIME": parameters["Runtime"],
            "SLUICE_ARCHITECTURE": parameters["Architecture"],
            "SLUICE_WHEELS": wheels,
            "SLUICE_PYTHON": sys.executable,
        },
    )
    return target / "template.yaml"


def overrides(parameters: Mapping[str, str]) -> list[str]:
    """Parameters as the arguments of ``--parameter-overrides``."""
    return [f"ParameterKey={key},ParameterValue={value}" for key, value in parameters.items()]


def sam_environment(home: Path) -> dict[str, str]:
    """This process's environment, as far as ``sam`` may see it: nothing leads to the real AWS."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return {
        **outside,
        **CREDENTIALS,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "1",
        "__SAM_CLI_APP_DIR": str(home / "sam"),
    }


def _sam(home: Path, arguments: list[str], environment: Mapping[str, str]) -> None:
    program = Path(sys.executable).with_name("sam")
    log = home / f"sam-{arguments[0]}.log"
    with log.open("wb") as output:
        process = subprocess.run(
            [program, *arguments, "--config-file", str(ROOT / "samconfig.toml"), *_CONFIG],
            cwd=ROOT,
            env={**sam_environment(home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise StackError(f"sam {arguments[0]} failed, see {log}:\n{tail}")


def describe(running: Emulator) -> Stack:
    """The stack that is deployed in a MiniStack, by its outputs."""
    client = clients.cloudformation(running.endpoint, running.ca_bundle)
    described = client.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    return Stack(
        endpoint=running.endpoint,
        channel_bucket=outputs["ChannelBucketName"],
        state_bucket=outputs["StateBucketName"],
        upload_queue_url=outputs["UploadQueueUrl"],
        upload_dlq_url=outputs["UploadDlqUrl"],
        slow_upload_queue_url=outputs["SlowUploadQueueUrl"],
        slow_upload_dlq_url=outputs["SlowUploadDlqUrl"],
        merge_queue_url=outputs["MergeQueueUrl"],
        merge_dlq_url=outputs["MergeDlqUrl"],
        reconcile_queue_url=outputs["ReconcileQueueUrl"],
        reconcile_dlq_url=outputs["ReconcileDlqUrl"],
        extract_function=outputs["ExtractFunctionName"],
        merge_function=outputs["MergeFunctionName"],
        reconcile_function=outputs["ReconcileFunctionName"],
        pid=running.pid,
        ca_bundle=running.ca_bundle,
    )
