"""Runs the whole router on this machine: no AWS account, no container, no key.

Starts the embedded AWS emulator, the demonstration providers where no key is at hand, the stats function on its
schedule, and the router with its page; stops them all at Ctrl-C. The environment says:

  PORT                (8080)       where the router listens
  HOST                (127.0.0.1)  on which address
  PROVIDERS_FILE                   a providers.yaml of your own
  STATE_DIR           (.state)     where the data is kept between runs
  REQUIRE_CLIENT_KEY  (false)      true: ask callers for a client key, as when deployed
  <NAME>_API_KEY                   a provider's key, GROQ_API_KEY for instance
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infra.local import aws_resources, processes, progress, provider_choice, state_dir
from infra.local.addresses import is_loopback
from infra.local.aws_resources import LEDGER_TABLE, PAGE_BUCKET, STATE_TABLE
from infra.local.processes import Child
from infra.local.provider_choice import Choice
from infra.local.state_dir import StateDirError
from llm_router import configuration, settings
from llm_router.catalogue import Catalogue
from llm_router.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
EVERY_S = 3.0
READY_WITHIN_S = 60.0
"""Of silence: a part that says that it is at work is waited for."""

SAVED_WITHIN_S = 60.0
"""The embedded AWS puts its state on the disk when it is stopped."""

EXAMPLE = '{"prompt": "What is a router?"}'
NOWHERE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Nothing of the caller's that could lead to a real account, nor a profile that does not exist."""

UNWRITTEN = "ledger.unwritten"
YES, NO = ("true", "1", "yes"), ("false", "0", "no", "")


class StartError(Exception):
    """What keeps the run from starting or going on, in words for the reader."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the environment asks for."""

    host: str
    port: int
    state_dir: Path
    asks_for_key: bool

    @property
    def url(self) -> str:
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104  # shown, not bound
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"


@dataclass(slots=True)
class Run:
    """The processes of one run, in the order of their start."""

    wishes: Wishes
    choice: Choice
    endpoint: str
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, *arguments: str, listens: socket.socket | None = None) -> Child:
        """Hands the listening socket over: when the child dies, nobody listens."""
        fd = listens.fileno() if listens else None
        child = processes.start(
            f"infra.local.{name}",
            [*arguments, *(["--fd", str(fd)] if fd is not None else [])],
            environ=_environ(self.wishes, self.choice, self.endpoint),
            log=self.wishes.state_dir / "log" / f"{name}.log",
            fd=fd,
        )
        self.children.append(child)
        if listens:
            listens.close()
        return child

    def stop(self) -> None:
        """In the reverse order of their start: the embedded AWS last, for what is under way is still written to it."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in reversed(self.children):
            processes.stop(child, within_s=SAVED_WITHIN_S if child.name == "emulator" else processes.STOP_WITHIN_S)
        self._tell_unwritten()

    def watch(self) -> None:
        """Return never; raises StartError when a process ends by itself, StateDirError when the disk is nearly full."""
        while True:
            self._tell_unwritten()
            state_dir.check_room(self.wishes.state_dir)
            for child in self.children:
                if child.has_ended:
                    raise StartError(_ended(child))
            time.sleep(0.5)

    def _tell_unwritten(self) -> None:
        for child in self.children:
            count = sum(UNWRITTEN in line for line in child.log.new_lines()) if child.name == "server" else 0
            if count:
                records = "usage record was" if count == 1 else "usage records were"
                _tell(f"{count} {records} not taken by the embedded AWS: look for {UNWRITTEN} in {child.log.path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(NOWHERE)
    try:
        wishes = _wishes(os.environ)
        with state_dir.held(wishes.state_dir):
            _run(wishes)
    except (StartError, StateDirError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _run(wishes: Wishes) -> None:
    front = _front(wishes)
    aws, demos = processes.listening("127.0.0.1", 0), processes.listening("127.0.0.1", 0)
    endpoint, demo_url = (f"http://127.0.0.1:{found.getsockname()[1]}" for found in (aws, demos))
    run = Run(wishes, _choice(wishes, demo_url), endpoint)
    try:
        emulator = run.start("emulator", "--state-dir", str(wishes.state_dir / "aws"), listens=aws)
        _wait(emulator, endpoint, "embedded AWS (DynamoDB, SSM, S3)")
        key = aws_resources.prepare(endpoint, with_key=wishes.asks_for_key, now=datetime.now(UTC))
        if run.choice.needs_demos:
            _wait(run.start("demo_providers", listens=demos), demo_url, "demonstration providers")
        demos.close()
        _wait(run.start("server", "--host", wishes.host, listens=front), f"{wishes.url}/health", "router")
        schedule = run.start("schedule", "--every-s", str(EVERY_S))
        _wait(schedule, f"{wishes.url}/stats.json", "page and figures", with_success=True)
        _note(run)
        _welcome(run, key)
        run.watch()
    finally:
        run.stop()


def _wishes(environ: Mapping[str, str]) -> Wishes:
    port = environ.get("PORT") or "8080"
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise StartError(f"PORT is {port!r}: give a number from 1 to 65535, for instance PORT=8081 make run")
    asks = (environ.get("REQUIRE_CLIENT_KEY") or "false").lower()
    if asks not in (*YES, *NO):
        raise StartError(f"REQUIRE_CLIENT_KEY is {asks!r}: give true or false")
    return Wishes(
        host=environ.get("HOST") or "127.0.0.1",
        port=int(port),
        state_dir=Path(environ.get("STATE_DIR") or ".state").absolute(),
        asks_for_key=asks in YES,
    )


def _front(wishes: Wishes) -> socket.socket:
    """Taken before anything else starts, so that a taken port costs no waiting."""
    try:
        return processes.listening(wishes.host, wishes.port)
    except OSError as error:
        advice = {
            errno.EADDRINUSE: "Is the router running already? Choose another port: PORT=8081 make run",
            errno.EACCES: "Ports below 1024 are root's on most machines. Choose another: PORT=8081 make run",
        }.get(error.errno or 0, "HOST is an address of this machine, 127.0.0.1 for instance.")
        raise StartError(f"{wishes.host}:{wishes.port} can't be used: {error.strerror}.\n{advice}") from error


def _choice(wishes: Wishes, demo_url: str) -> Choice:
    models = provider_choice.ollama_models()
    choice = provider_choice.choose(os.environ, state_dir=wishes.state_dir, demo_url=demo_url, ollama_models=models)
    choice.write()
    try:
        configuration.load(str(choice.file), catalogue=Catalogue())
    except ConfigurationError as error:
        raise StartError(str(error)) from error
    return choice


def _environ(wishes: Wishes, choice: Choice, endpoint: str) -> dict[str, str]:
    """For the children: this machine's emulator in place of AWS, and nothing that could lead to a real account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    unproxied = [name for name in (kept.get("NO_PROXY"), "127.0.0.1", "localhost") if name]
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": ",".join(unproxied),
        "no_proxy": ",".join(unproxied),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": aws_resources.REGION,
        "AWS_ACCESS_KEY_ID": aws_resources.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": aws_resources.SECRET_ACCESS_KEY,
        **NOWHERE,
        "STAGE": "local",
        "LEDGER_TABLE": LEDGER_TABLE,
        "STATE_TABLE": STATE_TABLE,
        "PAGE_BUCKET": PAGE_BUCKET,
        "PAGE_DIR": str(ROOT / "infra" / "dashboard" / "page"),
        "PROVIDERS_FILE": str(choice.file),
        "VOCABULARY_DIR": str(ROOT / "layers" / "vocabulary" / "vocabulary"),
        "PROVIDER_KEYS": "environment",
        "REQUIRE_CLIENT_KEY": "true" if wishes.asks_for_key else "false",
    }


def _wait(child: Child, url: str, what: str, *, with_success: bool = False) -> None:
    started_s = heard_s = time.monotonic()
    while not (child.has_ended or processes.answers(url, with_success=with_success)):
        now_s = time.monotonic()
        for line in child.log.new_lines():
            if line.startswith(progress.MARK):
                _tell(f"  {what}: {line.removeprefix(progress.MARK)} ...")
                heard_s = now_s
        if now_s - heard_s > READY_WITHIN_S:
            raise StartError(f"{what}: no answer within {READY_WITHIN_S:.0f} s. Its log: {child.log.path}")
        time.sleep(processes.POLL_S)
    if child.has_ended:
        raise StartError(_ended(child))
    _tell(f"  {what}: ready after {time.monotonic() - started_s:.1f} s")


def _ended(child: Child) -> str:
    code = child.process.returncode
    return f"{child.name} has ended (code {code}). The end of {child.log.path}:\n{child.last_words()}"


def _note(run: Run) -> None:
    """What other commands need to know of this run: how to reach its AWS and its providers, how its ledger is kept."""
    read = settings.read(_environ(run.wishes, run.choice, run.endpoint))
    noted = {
        "url": run.wishes.url,
        "endpoint": run.endpoint,
        "ledger_table": LEDGER_TABLE,
        "ledger_shards": read.ledger_shards,
        "record_retention_days": read.record_retention_days,
        "state_table": STATE_TABLE,
        "page_bucket": PAGE_BUCKET,
        "providers_file": str(run.choice.file),
        "supervisor": os.getpid(),
        "processes": {child.name: child.process.pid for child in run.children},
    }
    (run.wishes.state_dir / state_dir.NOTE).write_text(json.dumps(noted, indent=2) + "\n")


def _welcome(run: Run, key: str | None) -> None:
    url = run.wishes.url
    auth = f" -H 'authorization: Bearer {key}'" if key else ""
    lines = [
        "",
        *run.choice.told,
        "",
        f"  Router  {url}",
        f"  Page    {url}/",
        "",
        "Try it:",
        "",
        f"  curl -s {url}/generate{auth} -H 'content-type: application/json' -d '{EXAMPLE}'",
        "",
    ]
    if run.wishes.asks_for_key and not key:
        lines.append("Callers need a client key; the one that was printed at the first start still works.")
    if not is_loopback(run.wishes.host) and not run.wishes.asks_for_key:
        lines.append(
            f"WARNING: {run.wishes.host} can be reached from elsewhere, and no key is asked for: whoever comes "
            "can spend.\nREQUIRE_CLIENT_KEY=true asks for one."
        )
    lines.append(f"Data and logs are in {run.wishes.state_dir}. Ctrl-C stops everything.")
    _tell("\n".join(lines))


def _tell(text: str) -> None:
    print(text, flush=True)
