"""``make demo``: from upload to install, with a real client, on this machine.

Every step prints its actions and its duration.  A step that fails ends the demo with an error.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import client, packages
from local.packages import Recipe
from local.stack import HOME, Stack, run_stack

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import QueueConfigurationUnionTypeDef

CHANNEL = "demo"
BROKEN = "broken-1.0-0.conda"
DEBOUNCE_SECONDS = 3
_WAIT_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.25
_POLLS_PER_DOT = 4


class DemoError(RuntimeError):
    """A step did not have the expected result."""


@dataclass(slots=True)
class Clock:
    """Prints the steps and remembers how long each took."""

    took: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, and time it."""
        print(f"\n== {title}", flush=True)
        before = time.monotonic()
        yield
        self.took[title] = time.monotonic() - before

    def say(self, line: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"   {time.monotonic() - self.started:5.1f} s  {line}", flush=True)

    def summary(self) -> None:
        """Print how long each step took."""
        print("\n== Summary")
        for title, seconds in self.took.items():
            print(f"   {seconds:5.1f} s  {title}")
        print(f"   {time.monotonic() - self.started:5.1f} s  total")


def run(home: Path = HOME / "demo") -> None:
    """Run the whole demo; raises ``DemoError`` if a step does not have the expected result."""
    shutil.rmtree(home, ignore_errors=True)
    clock = Clock()
    with ExitStack() as until_the_end:
        with clock.step("Build and deploy template.yaml into a local AWS"):
            stack = until_the_end.enter_context(
                run_stack(home, debounce_seconds=DEBOUNCE_SECONDS, say=clock.say)
            )
        published = Published(stack)
        with clock.step("Build four packages and upload them with an S3 client"):
            _upload(stack, home, clock)
        with clock.step("Wait until all four are in the index"):
            _wait("indexing", lambda: all(map(published.has, packages.RECIPES)))
            _show_index(stack, clock)
        with clock.step(f"Solve and install {packages.HELLO.name} from s3:// with py-rattler"):
            _install(stack, home, clock)
        with clock.step(f"Delete {packages.TOOL.filename}"):
            _delete(stack, packages.TOOL)
            _wait("removing", lambda: not published.has(packages.TOOL))
            clock.say("the package is no longer in the index")
        with clock.step("Upload a file that is not a package"):
            _upload_broken(stack, published, clock)
        with clock.step("Lose an event and an index file, then reconcile"):
            _lose(stack, home, clock)
            _reconcile(stack, clock)
            _wait("repairing", lambda: published.has(packages.TOOL))
            clock.say(f"{packages.TOOL.filename} is in the index")
    clock.say("stopped")
    clock.summary()


def _upload(stack: Stack, home: Path, clock: Clock) -> None:
    for recipe in packages.RECIPES:
        path = packages.build_package(recipe, home / "packages")
        stack.s3.upload_file(str(path), stack.channel_bucket, _key(recipe))
        clock.say(f"{path.stat().st_size:6d} bytes  {_key(recipe)}")


def _show_index(stack: Stack, clock: Clock) -> None:
    listed = stack.s3.list_objects_v2(Bucket=stack.channel_bucket, Prefix=f"{CHANNEL}/")
    for one in listed["Contents"]:
        if not one["Key"].endswith((".conda", ".tar.bz2")):
            clock.say(f"{one['Size']:6d} bytes  {one['Key']}")


def _install(stack: Stack, home: Path, clock: Clock) -> None:
    prefix = asyncio.run(client.install(stack, CHANNEL, [packages.HELLO.name], home / "client"))
    for record in sorted((prefix / "conda-meta").glob("*.json")):
        clock.say(f"installed {record.stem}")
    clock.say("(python is a stand-in that runs this machine's Python, so one channel is enough)")
    command = [str(prefix / "bin" / "python"), "-m", packages.HELLO_MODULE]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    clock.say(f"python -m {packages.HELLO_MODULE} prints: {ran.stdout.strip()}")


def _delete(stack: Stack, recipe: Recipe) -> None:
    stack.s3.delete_object(Bucket=stack.channel_bucket, Key=_key(recipe))


def _upload_broken(stack: Stack, published: Published, clock: Clock) -> None:
    before = published.filenames("noarch")
    stack.s3.put_object(
        Bucket=stack.channel_bucket, Key=f"{CHANNEL}/noarch/{BROKEN}", Body=b"not a zip archive"
    )
    _wait("rejecting", lambda: BROKEN in json.dumps(published.rejects("noarch")))
    clock.say("the reject in the state bucket:")
    print(textwrap.indent(json.dumps(published.rejects("noarch"), indent=2), " " * 13))
    after = published.filenames("noarch")
    if after != before:
        raise DemoError(f"the broken package changed the index from {before} to {after}")
    clock.say(f"the index has not changed: {', '.join(sorted(after))}")


def _lose(stack: Stack, home: Path, clock: Clock) -> None:
    """Upload a package while S3 sends no events, and delete an index file."""
    notifications = stack.s3.get_bucket_notification_configuration(Bucket=stack.channel_bucket)
    _notify(stack, [])
    path = packages.build_package(packages.TOOL, home / "packages")
    stack.s3.upload_file(str(path), stack.channel_bucket, _key(packages.TOOL))
    _notify(stack, notifications["QueueConfigurations"])
    clock.say(f"{_key(packages.TOOL)} uploaded without an event")
    index = f"{CHANNEL}/{packages.TOOL.subdir}/repodata.json"
    stack.s3.delete_object(Bucket=stack.channel_bucket, Key=index)
    clock.say(f"{index} deleted")


def _notify(stack: Stack, queues: Sequence[QueueConfigurationUnionTypeDef]) -> None:
    stack.s3.put_bucket_notification_configuration(
        Bucket=stack.channel_bucket, NotificationConfiguration={"QueueConfigurations": queues}
    )


def _reconcile(stack: Stack, clock: Clock) -> None:
    request = json.dumps({"channel": CHANNEL})
    answer = stack.functions.invoke(FunctionName=stack.reconcile_function, Payload=request)
    report = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise DemoError(f"reconcile failed: {report}")
    found = {name: count for name, count in report["counts"].items() if count}
    clock.say(f"reconcile reports: {json.dumps(found)}")


def _key(recipe: Recipe) -> str:
    return f"{CHANNEL}/{recipe.subdir}/{recipe.filename}"


@dataclass(frozen=True, slots=True)
class Published:
    """What clients and people can read of the demo's channel."""

    stack: Stack

    def has(self, recipe: Recipe) -> bool:
        """Whether the package is in the index of its subdir."""
        return recipe.filename in self.filenames(recipe.subdir)

    def filenames(self, subdir: str) -> set[str]:
        """The packages in a subdir's ``repodata.json``; none where there is no such file."""
        index = self._json(self.stack.channel_bucket, f"{CHANNEL}/{subdir}/repodata.json")
        return {*index["packages"], *index["packages.conda"]} if index else set()

    def rejects(self, subdir: str) -> Any:
        """The document of what was rejected, or ``None``."""
        return self._json(self.stack.state_bucket, f"rejects/{CHANNEL}/{subdir}.json")

    def _json(self, bucket: str, key: str) -> Any:
        try:
            return json.load(self.stack.s3.get_object(Bucket=bucket, Key=key)["Body"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise


def _wait(verb: str, until: Callable[[], bool]) -> None:
    """Poll ``until``, and print dots meanwhile."""
    started = time.monotonic()
    print(f"           {verb} ", end="", flush=True)
    for polls in itertools.count():
        if until():
            break
        if time.monotonic() - started > _WAIT_SECONDS_MAX:
            raise DemoError(f"{verb}: no result within {_WAIT_SECONDS_MAX:.0f} s")
        if polls % _POLLS_PER_DOT == 0:
            print(".", end="", flush=True)
        time.sleep(_POLL_SECONDS)
    print(f" {time.monotonic() - started:.1f} s", flush=True)
