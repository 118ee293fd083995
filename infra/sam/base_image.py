"""The image that `sam local` starts containers from: Lambda's own where it can be pulled, a stand-in where it can't.

The stand-in has what the functions can tell apart: Linux on the same processor, Python 3.13 as /var/lang, AWS's runtime
client and SDK in /var/runtime, the same search path. Its packages are Debian's, and it has a name of its own, so that
nobody takes it for Lambda's.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra.sam import engine
from infra.sam.engine import Engine
from infra.sam.obstacles import ObstacleError

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".build"
SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
REQUIREMENTS = Path(__file__).with_name("base_image_requirements.txt")

SUITE = "trixie"
"""The Debian whose own Python is 3.13."""

PACKAGES = ("ca-certificates", "python3.13")
LAID_OVER = ("./var/lang", "./var/rapid", "./var/runtime", "./var/task")
"""Named one by one: an image's archive must not have a folder twice, and the system has /var already."""

NEEDLESS = ("./usr/share/doc", "./usr/share/locale", "./usr/share/man", "./var/cache", "./var/lib/apt")

BOOTSTRAP = """\
#!/bin/sh
# Lambda's search path: the function, the layers, the runtime.
# https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath
export PYTHONPATH=/var/task:/opt/python/lib/python3.13/site-packages:/opt/python:/var/runtime
exec /var/lang/bin/python3.13 -m awslambdaric "$_HANDLER"
"""

SETTINGS = (
    "ENV LANG=C.UTF-8",
    "ENV TZ=:UTC",
    "ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "ENV LD_LIBRARY_PATH=/var/lang/lib:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "ENV LAMBDA_TASK_ROOT=/var/task",
    "ENV LAMBDA_RUNTIME_DIR=/var/runtime",
    "WORKDIR /var/task",
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """`told` says in a line what it is."""

    name: str
    is_stand_in: bool
    told: str

    def sam_options(self) -> list[str]:
        """For `sam local`: what is here is taken as it is."""
        return ["--skip-pull-image", *(["--invoke-image", self.name] if self.is_stand_in else [])]


def arch() -> str:
    """The processor at hand as Lambda calls it. Raises ObstacleError."""
    machine = platform.machine().lower()
    try:
        return {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[machine]
    except KeyError as error:
        raise ObstacleError(f"Lambda has no processors like this machine's ({machine}).") from error


def ready(used: Engine, *, arch: str) -> BaseImage:
    """Found, pulled or built; built once and kept. Raises ObstacleError."""
    real = BaseImage(f"public.ecr.aws/lambda/python:3.13-{arch}", False, f"AWS's own, for {arch}")
    name = f"llm-router/lambda-stand-in:python3.13-{arch}"
    again = f"remove {engine.OWN} (as root)" if used.is_own else f"docker image rm {name}"
    stand_in = BaseImage(
        name, True, f"a stand-in, because AWS's own could not be pulled when it was built. To try again: {again}"
    )
    for image in (real, stand_in):
        if _has(used, image):
            return image
    _tell(f"Pulling {real.name} ...")
    pulled = used.docker(
        "pull", "--quiet", "--platform", "linux/amd64" if arch == "x86_64" else "linux/arm64", real.name
    )
    if pulled.returncode == 0:
        return real
    reason = (pulled.stderr.strip().splitlines() or ["no reason given"])[-1]
    _tell(f"It can't be pulled: {reason}\nBuilding a stand-in for it (once, about a minute) ...")
    _build(used, stand_in)
    return stand_in


def _has(used: Engine, image: BaseImage) -> bool:
    return used.docker("image", "inspect", "--format", "{{.Id}}", image.name).returncode == 0


def _build(used: Engine, image: BaseImage) -> None:
    _need_debootstrap()
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="stand-in-", ignore_cleanup_errors=True) as scratch:
        system, runtime = Path(scratch, "system"), Path(scratch, "runtime")
        try:
            _make_system(system)
            _make_runtime(runtime)
            _import(used, image, system, runtime)
        finally:
            subprocess.run(engine.as_root("rm", "-rf", str(system)), check=False)


def _need_debootstrap() -> None:
    if shutil.which("debootstrap", path=_environ()["PATH"]):
        return
    if platform.system() != "Linux" or not shutil.which("apt-get"):
        raise ObstacleError(
            "The stand-in can be built on Debian and Ubuntu only (with debootstrap). "
            "Make AWS's image reachable and try again."
        )
    _tell("Installing debootstrap (asks for sudo if need be) ...")
    engine.install_packages("debootstrap", "debian-archive-keyring")


def _make_system(folder: Path) -> None:
    _run(
        *engine.as_root("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(folder)),
        failed="debootstrap could not make the stand-in's system",
    )


def _make_runtime(folder: Path) -> None:
    """What is laid over the system."""
    runtime = folder / "var" / "runtime"
    runtime.mkdir(parents=True)
    _run(
        *(str(SAM_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--target", str(runtime), "--requirement", str(REQUIREMENTS)),
        failed="pip could not install what Lambda's runtime has",
    )
    bootstrap = runtime / "bootstrap"
    bootstrap.write_text(BOOTSTRAP)
    bootstrap.chmod(0o755)
    programs = folder / "var" / "lang" / "bin"
    programs.mkdir(parents=True)
    for name in ("python3.13", "python3", "python"):
        (programs / name).symlink_to("/usr/bin/python3.13")
    for place in ("task", "rapid"):
        (folder / "var" / place).mkdir()


def _import(used: Engine, image: BaseImage, system: Path, runtime: Path) -> None:
    packing = subprocess.Popen(
        engine.as_root(
            *("tar", "--create", "--owner=0", "--group=0", *(f"--exclude={path}" for path in NEEDLESS)),
            *("-C", str(system), ".", "-C", str(runtime), *LAID_OVER),
        ),
        stdout=subprocess.PIPE,
    )
    changes = [word for setting in SETTINGS for word in ("--change", setting)]
    done = subprocess.run(
        ["docker", "import", *changes, "-", image.name],
        env=used.environ(),
        stdin=packing.stdout,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if packing.stdout:
        packing.stdout.close()
    if packing.wait() != 0 or done.returncode != 0:
        raise ObstacleError(f"The stand-in could not be handed to the container engine: {done.stderr.strip()}")


def _run(*command: str, failed: str) -> None:
    done = subprocess.run(
        command,
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-15:])
        raise ObstacleError(f"{failed}:\n{end}")


def _environ() -> dict[str, str]:
    return engine.with_system_programs(os.environ)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
