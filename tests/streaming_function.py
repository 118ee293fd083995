"""The streaming function laid out as Lambda lays it out, and started as the Lambda Web Adapter starts it.

What stands in: folders of this machine for /opt, /var/task and /var/runtime, and this machine's Python for Lambda's,
without the packages of the environment that the tests run in. The adapter itself, which turns Lambda's events into
HTTP requests, is not here; the requests that it would make come from the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import boto3
from samtranslator.yaml_helper import yaml_parse

from infra.local import aws_resources, processes
from infra.local.aws_resources import LEDGER_TABLE, STATE_TABLE
from llm_router import journal_items
from llm_router.usage import UsageRecord

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())
FUNCTION = TEMPLATE["Resources"]["StreamingFunction"]["Properties"]
FUNCTION_PYTHON = TEMPLATE["Globals"]["Function"]["Runtime"]

BROUGHT_BY_LAMBDA = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")

BOOTSTRAP = '#!/bin/sh\nexec "${LAMBDA_TASK_ROOT}/${_HANDLER}"\n'
"""What the adapter's layer has at /opt/bootstrap does this (layer/bootstrap in awslabs/aws-lambda-web-adapter)."""

REGION = "us-east-1"
READY_WITHIN_S = 30.0
ENDED_WITHIN_S = 20.0


@dataclass(frozen=True)
class Layout:
    """Lambda's folders, below one of this machine."""

    root: Path

    @property
    def task(self) -> Path:
        return self.root / "var/task"

    @property
    def opt(self) -> Path:
        return self.root / "opt"

    @property
    def runtime(self) -> Path:
        return self.root / "var/runtime"

    @property
    def programs(self) -> Path:
        return self.root / "var/lang/bin"


def from_sources(root: Path, *, providers: str) -> Layout:
    """What the build would make of the sources and their pinned packages."""
    layout = _surroundings(root, providers=providers)
    shutil.copytree(ROOT / FUNCTION["CodeUri"], layout.task, ignore=shutil.ignore_patterns("__pycache__"))
    _install(layout.task, _pinned(layout.task / "requirements.txt"))
    library = ROOT / "layers/shared"
    _install(layout.opt / "python", _pinned(library / "requirements.txt"))
    (layout.opt / "python/llm_router").symlink_to(library / "llm_router")
    return layout


def from_build(root: Path, *, build: Path, providers: str) -> Layout:
    """What `make build` has made. `build` is .aws-sam/build, built for this machine's processor."""
    layout = _surroundings(root, providers=providers)
    layout.task.symlink_to((build / "StreamingFunction").resolve())
    (layout.opt / "python").symlink_to((build / "SharedLayer/python").resolve())
    return layout


def _surroundings(root: Path, *, providers: str) -> Layout:
    layout = Layout(root)
    _install(layout.runtime, BROUGHT_BY_LAMBDA)
    layout.programs.mkdir(parents=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # Not the environment's own, which would bring its packages along.
    (layout.programs / FUNCTION_PYTHON).symlink_to(Path(sys.base_prefix) / "bin" / version)
    layout.opt.mkdir()
    (layout.opt / "providers.yaml").write_text(providers)
    (layout.opt / "vocabulary").symlink_to(ROOT / "layers/vocabulary/vocabulary")
    (layout.opt / "bootstrap").write_text(BOOTSTRAP)
    (layout.opt / "bootstrap").chmod(0o755)
    return layout


def _pinned(requirements: Path) -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+)==", requirements.read_text(), re.MULTILINE)


def _install(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        found = distribution(name)
        for part in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (folder / part).exists():
                (folder / part).symlink_to(found.locate_file(part))


def environment(layout: Layout, *, resources: Mapping[str, str], **changes: str) -> dict[str, str]:
    """Lambda's own variables and the template's. `resources` says how those are called that the template refers to.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    own = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | FUNCTION["Environment"]["Variables"]
    given = {name: _value(value, resources).replace("/opt/", f"{layout.opt}/") for name, value in own.items()}
    return {
        "PATH": f"{layout.programs}:/usr/local/bin:/usr/bin:/bin:{layout.opt}/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(layout.task),
        "LAMBDA_RUNTIME_DIR": str(layout.runtime),
        "PYTHONPATH": str(layout.runtime),
        "_HANDLER": FUNCTION["Handler"],
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": "llm-router-prod-streaming",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/llm-router/prod/streaming",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        **given,
        **changes,
    }


def _value(value: object, resources: Mapping[str, str]) -> str:
    if not isinstance(value, dict):
        return str(value)
    name = value["Ref"]
    return resources[name] if name in resources else str(TEMPLATE["Parameters"][name]["Default"])


@dataclass(frozen=True)
class Aws:
    """The embedded emulator with the stack's tables and a client key."""

    endpoint: str
    client_key: str

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION)

    def record(self, request_id: str) -> UsageRecord:
        items = self.client("dynamodb").scan(TableName=LEDGER_TABLE)["Items"]
        records = [journal_items.record_of(item) for item in items if item["pk"]["S"].startswith("journal#")]
        (found,) = [record for record in records if record.request_id == request_id]
        return found


@contextmanager
def emulated_aws(folder: Path) -> Iterator[Aws]:
    listening = processes.listening("127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    environ = os.environ | {"PYTHONPATH": f"{ROOT / 'layers/shared'}{os.pathsep}{ROOT}"}
    arguments = ["--state-dir", str(folder / "state"), "--fd", str(listening.fileno())]
    emulator = processes.start(
        "infra.local.emulator", arguments, environ=environ, log=folder / "emulator.log", fd=listening.fileno()
    )
    listening.close()
    try:
        processes.until(lambda: emulator.has_ended or processes.answers(endpoint), limit_s=60)
        assert not emulator.has_ended, emulator.last_words()
        yield Aws(endpoint, aws_resources.prepare(endpoint, with_key=True, now=datetime.now(UTC)))
    finally:
        processes.stop(emulator)


@dataclass(frozen=True)
class Instance:
    """One running environment of the function."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def terminate(self) -> int:
        """As Lambda ends an environment; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDED_WITHIN_S)


@contextmanager
def started(layout: Layout, environ: Mapping[str, str], *, log: Path) -> Iterator[Instance]:
    """Ready as the adapter understands it: its readiness path answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [environ["AWS_LAMBDA_EXEC_WRAPPER"], FUNCTION_PYTHON, "/var/runtime/bootstrap.py"],
            env=dict(environ),
            cwd=layout.task,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    instance = Instance(process, int(environ["AWS_LWA_PORT"]), log)
    ready = f"http://127.0.0.1:{instance.port}{environ['AWS_LWA_READINESS_CHECK_PATH']}"
    try:
        processes.until(
            lambda: process.poll() is not None or processes.answers(ready, with_success=True), limit_s=READY_WITHIN_S
        )
        assert process.poll() is None, log.read_text()
        yield instance
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def deployed(layout: Layout, aws: Aws, *, log: Path) -> AbstractContextManager[Instance]:
    """The function of the stage `prod`. The port is any that is free, the rest is the template's."""
    with processes.listening("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    environ = environment(
        layout,
        resources={"Stage": "prod", "LedgerTable": LEDGER_TABLE, "StateTable": STATE_TABLE},
        AWS_LWA_PORT=str(port),
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID=aws_resources.ACCESS_KEY_ID,
        AWS_SECRET_ACCESS_KEY=aws_resources.SECRET_ACCESS_KEY,
        AWS_ENDPOINT_URL=aws.endpoint,
    )
    return started(layout, environ, log=log)
