"""The routers that real clients are driven against, each over a scripted provider that streams.

Two of them: what `make run` serves, and the streaming function as the Lambda Web Adapter starts it. Breakers live as
long as a process, so each test takes providers that nobody has asked yet: hundreds of names for one scripted server.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from e2e import local_run
from streaming_provider import Script, StreamingProvider, StreamingServer, Wire, says, serving

ROOT = Path(__file__).resolve().parents[2]
PROJECTS_PYTHON = ROOT / ".venv/bin/python"

STEADY = "steady"
UNABLE = "unable"
EVERYTHING = ["tools", "json_mode", "json_schema", "images", "n", "logprobs"]

PRICE = {"input": 1, "output": 2}
COST = Decimal("0.00002")
"""What an answer with `streaming_provider.USAGE` costs: 10 tokens in, 5 out."""

PLAIN, HASTY = 400, 40
HASTY_ROUTE_S = 2.0


@dataclass
class Played:
    """A provider that plays a script, and the name by which a client asks for it."""

    model: str
    provider: StreamingProvider

    @property
    def calls(self) -> list[Wire]:
        return self.provider.calls

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the only request that has reached it."""
        (call,) = self.calls
        return call.body

    def comes_to_be_hung_up_on(self) -> bool:
        local_run.until(lambda: any(call.has_ended for call in self.calls), within_s=30)
        return True


@dataclass
class Router:
    """A running router. `url` has no path."""

    url: str
    key: str
    server: StreamingServer
    plain: Iterator[int] = field(default_factory=lambda: iter(range(PLAIN)))
    hasty: Iterator[int] = field(default_factory=lambda: iter(range(HASTY)))
    played: list[Played] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def plays(self, script: Script) -> Played:
        name = f"plain{next(self.plain)}"
        return self._played(f"{name}/model", name, script)

    def plays_on_a_hasty_route(self, script: Script) -> Played:
        """Its route has but two seconds for a request."""
        name = f"hasty{next(self.hasty)}"
        return self._played(name, name, script)

    def _played(self, model: str, provider: str, script: Script) -> Played:
        self.played.append(Played(model, self.server.add(provider, script)))
        return self.played[-1]

    def figures(self, played: Played) -> dict[str, Any]:
        """What the ledger has of it: requests, tokens, cost."""
        answer = local_run.ask(f"{self.url}/stats", headers={"authorization": f"Bearer {self.key}"})
        return answer.json()["providers"].get(played.provider.name, {})

    def comes_to_know(self, played: Played, **expected: object) -> dict[str, Any]:
        """Its figures, once they are those: what goes on after a caller has gone takes a moment."""
        local_run.until(
            lambda: expected.items() <= self.figures(played).items(),
            within_s=30,
        )
        return self.figures(played)


def providers(server: StreamingServer) -> str:
    def row(name: str, **limits: object) -> dict[str, object]:
        model = {"name": "model", "price": PRICE, **limits}
        return {"name": name, "base_url": server.base_url(name), "auth": "none", "models": [model]}

    patient = {"first_token_timeout_s": 60, "idle_timeout_s": 60}
    hasty = [f"hasty{number}" for number in range(HASTY)]
    rows = [
        row(STEADY),
        row(UNABLE, lacks=EVERYTHING),
        *(row(f"plain{number}", **patient) for number in range(PLAIN)),
        *(row(name, **patient) for name in hasty),
    ]
    routes = {
        "auto": {"candidates": [f"{STEADY}/model"]},
        "verified": {"candidates": [f"{STEADY}/model"], "delivery": "verified"},
        **{name: {"candidates": [f"{name}/model"], "timeout_s": HASTY_ROUTE_S} for name in hasty},
    }
    return yaml.safe_dump({"providers": rows, "routes": routes})


@contextmanager
def run_by_make(folder: Path) -> Iterator[Router]:
    """`make run`, with a client key asked for as when deployed."""
    with serving() as server:
        file = _file(folder, server)
        with local_run.started(folder / "state", PROVIDERS_FILE=str(file), REQUIRE_CLIENT_KEY="true") as run:
            key = run.curl_line.partition("Bearer ")[2].partition("'")[0]
            yield Router(run.url, key, server)


@contextmanager
def run_as_function(folder: Path, *, build: str) -> Iterator[Router]:
    """The streaming function: of the sources, or of the build in the folder `build`."""
    with serving() as server:
        command = [PROJECTS_PYTHON, ROOT / "tests/clients/started_function.py", folder, _file(folder, server)]
        process = subprocess.Popen(
            [*map(str, command), *([build] if build else [])],
            env=local_run.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            line = process.stdout.readline()
            assert line, "the function did not start"
            ready = json.loads(line)
            yield Router(ready["url"], ready["key"], server)
        finally:
            process.communicate(timeout=60)


def _file(folder: Path, server: StreamingServer) -> Path:
    server.add(STEADY, says("Hel", "lo."))
    server.add(UNABLE, says("Never said."))
    file = folder / "providers.yaml"
    file.write_text(providers(server))
    return file
