"""All that `sam local` needs, made ready and put away again: a run, a build, an engine, an image, a way to the run.

Whatever is to be done with it, one event or a local API, is one more command of `sam local`. Two commands may go on at
once: what belongs to one alone lies in a folder of its own, and the image that SAM builds is the same for all.
"""

from __future__ import annotations

import errno
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from infra.local import processes
from infra.sam import base_image, engine, fresh_build, local_stack
from infra.sam.base_image import BaseImage
from infra.sam.build import BUILD, FUNCTIONS, LAYERS, ROOT
from infra.sam.engine import Engine
from infra.sam.local_stack import START_FIRST, Document, LocalRun
from infra.sam.obstacles import ObstacleError
from infra.sam.relay import Target, relaying

SAM = ROOT / ".venv-sam" / "bin" / "sam"

THIS_MACHINE = "host.docker.internal"
"""This machine's name in a container; `host-gateway` is the engine's word for the address behind it."""


@dataclass(frozen=True, slots=True)
class LocalLambda:
    """`environ` is for the process that runs `sam local`: the functions' variables come from it."""

    run: LocalRun
    arch: str
    image: BaseImage
    scratch: Path
    logs: Path
    environ: dict[str, str]

    def sam_local(self, command: str, *arguments: str) -> list[str]:
        """`sam local <command>` with all that does not depend on the command."""
        return [
            *(str(SAM), "local", command, *arguments),
            *("--template", str(self.scratch / "template.json")),
            *("--parameter-overrides", f"Architecture={self.arch}"),
            *("--layer-cache-basedir", str(self.scratch)),
            *self.image.sam_options(),
        ]


@contextmanager
def ready(state_dir: Path) -> Iterator[LocalLambda]:
    """Raises ObstacleError."""
    arch = base_image.arch()
    run = _reachable(local_stack.read_run(state_dir))
    with ExitStack() as stack:
        used = stack.enter_context(engine.ready())
        _tell(f"Container engine: {used.told}.")
        image = base_image.ready(used, arch=arch)
        _tell(f"Lambda's image: {image.told}.")
        fresh_build.ensure(arch=arch)
        host = _this_machine(used, image)
        providers = yaml.safe_load(run.providers_file.read_text())
        stack.enter_context(_way_to(host, local_stack.targets(run, providers)))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=state_dir, prefix="sam-")))
        template = _write(scratch, providers, host=host)
        logs = state_dir / "log" / "sam"
        logs.mkdir(parents=True, exist_ok=True)
        environ = local_stack.sam_environ(
            used.environ(),
            template,
            values=local_stack.values(run, host=host),
            keys=local_stack.key_variables(providers),
        )
        # SAM leaves locks in the temporary folder when it is killed, and the next one waits five minutes for them.
        yield LocalLambda(run, arch, image, scratch, logs, environ | {"TMPDIR": str(scratch)})


def _reachable(run: LocalRun) -> LocalRun:
    if not processes.answers(run.endpoint):
        raise ObstacleError(f"The local run's AWS at {run.endpoint} is gone: {START_FIRST}")
    return run


def _this_machine(used: Engine, image: BaseImage) -> str:
    """Its address as containers see it. A number, because S3 would have the bucket's name in front of a name."""
    ask = f"import socket; print(socket.gethostbyname('{THIS_MACHINE}'))"
    asked = used.docker(
        *("run", "--rm", "--add-host", f"{THIS_MACHINE}:host-gateway"),
        *("--entrypoint", "/var/lang/bin/python3.13", image.name, "-c", ask),
    )
    if asked.returncode != 0:
        raise ObstacleError(f"A container can't be started: {asked.stderr.strip()}")
    return asked.stdout.strip()


@contextmanager
def _way_to(host: str, targets: dict[int, Target]) -> Iterator[None]:
    """From containers to this machine's loopback. Engines in a virtual machine (Docker Desktop) have one already."""
    with ExitStack() as stack:
        for port, target in targets.items():
            try:
                stack.enter_context(relaying(host, port, target))
            except OSError as error:
                # Not an address of this machine: the engine's own way. In use: the target listens there itself.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                    raise ObstacleError(f"Containers can't be let through to port {port}: {error}") from error
        yield


def _write(scratch: Path, providers: Document, *, host: str) -> Document:
    """The router's folder with the run's providers.yaml beside the handler, and the template that says so."""
    router = scratch / "RouterFunction"
    shutil.copytree(FUNCTIONS["RouterFunction"], router)
    local_providers = local_stack.providers(providers, host=host)
    (router / local_stack.PROVIDERS_FILE.name).write_text(yaml.safe_dump(local_providers, sort_keys=False))
    template = local_stack.template(
        yaml.safe_load((BUILD / "template.yaml").read_text()),
        folders={**LAYERS, **FUNCTIONS, "RouterFunction": router},
        keys=local_stack.key_variables(providers),
    )
    (scratch / "template.json").write_text(json.dumps(template, indent=2))
    return template


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
