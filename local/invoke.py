"""``make invoke-extract``, ``invoke-merge`` and ``invoke-reconcile``: runs ``sam local invoke``.

The function runs in Lambda's own image, built for Lambda, against the running local stack.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from local import emulator, packages
from local.forward import forwarded
from local.stack import (
    HOME,
    ROOT,
    STACK_ENV,
    Stack,
    build,
    host_parameters,
    overrides,
    sam_environment,
)

FUNCTIONS = {
    "extract": "ExtractFunction",
    "merge": "MergeFunction",
    "reconcile": "ReconcileFunction",
}

_EVENTS = ROOT / "events"
_RUNTIME = "python3.13"
_DOCKER_DESKTOP_HOST = "192.168.65.254"
"""What ``host.docker.internal`` stands for.  An address, since boto3 puts a bucket's name in front
of a host that has a name."""


class InvokeError(RuntimeError):
    """The function cannot be invoked here; the message says what is missing."""


def run(function: str, events: Sequence[Path]) -> None:
    """Invoke one function with ``events``, or with all of ``events/`` that are meant for it."""
    gateway = _docker_gateway()
    if not emulator.is_running(HOME) or not (HOME / STACK_ENV).exists():
        raise InvokeError("the local stack is not running. Start it with: make local-up")
    stack = Stack.read(HOME / STACK_ENV)
    home = HOME / "invoke"
    parameters = {**host_parameters(), "Runtime": os.environ.get("RUNTIME") or _RUNTIME}
    print(f"sam build for {parameters['Runtime']} on {parameters['Architecture']} ...", flush=True)
    home.mkdir(exist_ok=True)
    template = _declare_endpoint(build(home, parameters, wheels="lambda"))
    _upload_what_events_name(stack, home)
    with _reachable(stack.endpoint, gateway) as endpoint:
        variables = home / "env.json"
        variables.write_text(json.dumps(_variables(stack, function, endpoint)))
        command = [str(Path(sys.executable).with_name("sam")), "local", "invoke"]
        command += [FUNCTIONS[function], "--template-file", str(template)]
        command += ["--env-vars", str(variables), "--config-env", "local"]
        command += ["--parameter-overrides", *overrides(parameters)]
        environment = {**sam_environment(home), "AWS_ENDPOINT_URL": endpoint, "NO_PROXY": "*"}
        for event in events or sorted(_EVENTS.glob(f"{function}-*.json")):
            print(f"\n== {FUNCTIONS[function]} <- {event.name}", flush=True)
            _check_call([*command, "--event", str(event)], environment)


def _docker_gateway() -> str:
    """Where a container reaches this machine; raises ``InvokeError`` without a Docker engine."""
    inspect = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    try:
        found = subprocess.run(inspect, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise InvokeError("sam local invoke needs Docker, but docker is not installed") from None
    except subprocess.CalledProcessError as error:
        raise InvokeError(
            f"sam local invoke needs a running Docker engine: {error.stderr.strip()}"
        ) from None
    if platform.system() == "Darwin":
        return _DOCKER_DESKTOP_HOST
    network = json.loads(found.stdout)[0]
    # Older engines leave it out, and it is the first address of the subnet.
    first = next(ipaddress.ip_network(network["Subnet"]).hosts())
    return str(network.get("Gateway", first))


@contextmanager
def _reachable(endpoint: str, gateway: str) -> Iterator[str]:
    url = urlsplit(endpoint)
    assert url.hostname is not None
    assert url.port is not None
    if gateway == _DOCKER_DESKTOP_HOST:  # leads to this machine's loopback by itself
        yield f"http://{gateway}:{url.port}"
        return
    with forwarded(gateway, (url.hostname, url.port)) as port:
        yield f"http://{gateway}:{port}"


def _declare_endpoint(built: Path) -> Path:
    """Add ``AWS_ENDPOINT_URL`` to the built template, since sam hands on what is declared only.

    In ``template.yaml`` itself it would be wrong: boto3 takes the empty text for "not set", so
    MiniStack, which respects it, would send its functions to the real AWS.
    """
    template = yaml.safe_load(built.read_text())
    template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = ""
    derived = built.with_name("invoke-template.yaml")
    derived.write_text(yaml.safe_dump(template))
    return derived


def _variables(stack: Stack, function: str, endpoint: str) -> Mapping[str, Mapping[str, str]]:
    # What the deployed function is given; sam by itself would put logical ids for names.
    deployed = {
        "extract": stack.extract_function,
        "merge": stack.merge_function,
        "reconcile": stack.reconcile_function,
    }[function]
    configuration = stack.functions.get_function_configuration(FunctionName=deployed)
    given = configuration["Environment"]["Variables"]
    return {FUNCTIONS[function]: {**given, "AWS_ENDPOINT_URL": endpoint}}


def _upload_what_events_name(stack: Stack, home: Path) -> None:
    recipe = packages.HELLO
    path = packages.build_package(recipe, home / "packages")
    key = f"demo/{recipe.subdir}/{recipe.filename}"
    stack.s3.upload_file(str(path), stack.channel_bucket, key)


def _check_call(command: Sequence[str], environment: Mapping[str, str]) -> None:
    finished = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if finished.returncode != 0:
        raise InvokeError(f"sam local invoke failed with exit status {finished.returncode}")
