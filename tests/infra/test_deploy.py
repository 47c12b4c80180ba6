"""``deploy/``: what it names exists, and the image's steps work, without a container engine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.cli.app import COMMANDS, make_app
from tests.support.template import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
YAML_FILES = sorted({*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")})


@dataclass
class Stage:
    """One stage of a Dockerfile."""

    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        return [value for name, value in self.instructions if name == instruction]


def stages() -> list[Stage]:
    stages_so_far: list[Stage] = []
    for line in DOCKERFILE.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name == "FROM":
            stages_so_far.append(Stage(value))
        else:
            stages_so_far[-1].instructions.append((name, value))
    return stages_so_far


def commands_in(document: Any) -> Iterator[list[str]]:
    """Every list of arguments that begins with one of sluice's commands."""
    if isinstance(document, dict):
        for value in document.values():
            yield from commands_in(value)
    elif isinstance(document, list):
        if all(isinstance(one, str) for one in document) and {*document[:1]} & {*COMMANDS}:
            yield document
        else:
            for value in document:
                yield from commands_in(value)


def shell_commands(text: str) -> Iterator[list[str]]:
    """The arguments of every call of sluice in a script."""
    for line in text.splitlines():
        if match := re.search(r"/sluice\"? ((?:watch|wait)\b[^<|]*)", line):
            yield shlex.split(match.group(1).replace("$CHANNELS", "s3://b/c"))


def parse(arguments: Sequence[str]) -> None:
    """Parse a command line, which fails for an unknown command, flag or value."""
    make_app(arguments[0]).parse_args(list(arguments), exit_on_error=False, print_error=False)


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_yaml_parses_and_names_commands_and_flags_that_exist(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for arguments in commands_in(documents):
        parse(arguments)


def test_every_place_that_runs_sluice_was_looked_at() -> None:
    counts = {
        path.name: len(list(commands_in(list(yaml.safe_load_all(path.read_text())))))
        for path in YAML_FILES
    }
    assert (counts["compose.yaml"], counts["kubernetes.yaml"]) == (1, 1)


@pytest.mark.parametrize(
    "path",
    [
        DEPLOY / "sluice-watch.service",
        DEPLOY / "github-action" / "action.yml",
        DEPLOY / "gitlab" / "publish-conda.yml",
    ],
    ids=lambda path: path.name,
)
def test_scripts_name_commands_and_flags_that_exist(path: Path) -> None:
    calls = list(shell_commands(path.read_text()))
    assert calls
    for arguments in calls:
        # A number is a number, not a variable; packages come from a file.
        words = ["9" if word == "$TIMEOUT" else word for word in arguments]
        parse([*words, "noarch/a-1-0.conda"] if words[0] == "wait" else words)


def test_the_image_runs_as_nobody_without_what_builds_it() -> None:
    build, final = stages()
    assert build.image.endswith(" AS build")
    (user,) = final.arguments("USER")
    assert user.split(":")[0] not in ("0", "root")
    assert not any("pip install" in step for step in final.arguments("RUN"))
    assert any("rm -rf" in step and "pip" in step for step in final.arguments("RUN"))
    text = DOCKERFILE.read_text()
    assert not re.search(
        r"amd64|x86_64|arm64|aarch64", re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    )


def test_containers_are_as_narrow_as_the_image_allows() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["watch"]
    assert compose["read_only"] is True
    assert compose["cap_drop"] == ["ALL"]
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["terminationGracePeriodSeconds"] > 20
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # Of several with --leader one is ready: a rolling update would wait for the second.
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_steps_of_the_image_make_a_sluice_that_runs_from_a_read_only_folder(
    tmp_path: Path,
) -> None:
    """All steps of the first stage, with its folders in another place, and the entry point."""
    build, final = stages()
    places = {"/build": tmp_path / "build", "/opt": tmp_path / "opt"}
    for place in places.values():
        place.mkdir()

    def moved(text: str) -> str:
        for path, place in places.items():
            text = re.sub(rf"(?<![\w/]){path}\b", str(place), text)
        return re.sub(r"\bpython\b", shlex.quote(sys.executable), text)

    (workdir,) = build.arguments("WORKDIR")
    for source, target in map(str.split, build.arguments("COPY")):
        copied = places[workdir] / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, copied, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, copied)
    for step in build.arguments("RUN"):
        subprocess.run(["/bin/sh", "-ec", moved(step)], cwd=places[workdir], check=True)
    (source, target) = final.arguments("COPY")[0].removeprefix("--from=build ").split()
    assert source == target
    (environment,) = final.arguments("ENV")
    variables = dict(pair.split("=") for pair in moved(environment).split())
    (entry_point,) = final.arguments("ENTRYPOINT")
    command = [moved(word) for word in yaml.safe_load(entry_point)]
    before = _files(places["/opt"])
    for arguments, code, text in (
        (["watch", "--help"], 0, "Keep channels indexed"),
        (["watch"], 2, "requires an argument"),
    ):
        ended = subprocess.run(
            [*command, *arguments],
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert ended.returncode == code, ended
        assert text in ended.stdout + ended.stderr
    assert _files(places["/opt"]) == before


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_its_requirements_are_those_of_the_tests_and_have_hashes() -> None:
    pinned, tested = (
        dict(
            re.findall(
                r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE
            )
        )
        for name in ("watch.txt", "dev.txt")
    )
    assert pinned.items() <= tested.items()
    text = (ROOT / "requirements" / "watch.txt").read_text()
    assert all("--hash=sha256:" in one for one in re.split(r"\n(?=\S)", text.strip()))
