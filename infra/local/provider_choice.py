"""Which providers file a local run uses: the reader's own, the deployed one with keys at hand, or demonstrations."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.local.demo_providers import DEMOS
from llm_router import key_names

DEPLOYED_FILE = Path(__file__).resolve().parents[2] / "layers" / "config" / "providers.yaml"
OLLAMA = "http://127.0.0.1:11434"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Choice:
    """`document` is None where `file` is the reader's own; `told` says in a line or two what was chosen and why."""

    file: Path
    document: Mapping[str, Any] | None = None
    told: list[str] = field(default_factory=list)

    @property
    def needs_demos(self) -> bool:
        names = [provider["name"] for provider in self.document["providers"]] if self.document else []
        return any(demo.name in names for demo in DEMOS)

    def write(self) -> None:
        if self.document is not None:
            self.file.write_text("# Written at each start.\n" + yaml.safe_dump(dict(self.document), sort_keys=False))


def choose(environ: Mapping[str, str], *, state_dir: Path, demo_url: str, ollama_models: list[str]) -> Choice:
    if own := environ.get("PROVIDERS_FILE"):
        return Choice(Path(own).absolute(), told=[f"Providers of {own}."])
    file = state_dir / "providers.yaml"
    deployed = yaml.safe_load(DEPLOYED_FILE.read_text())
    with_key = [row["name"] for row in deployed["providers"] if environ.get(key_names.variable(row["name"]))]
    if with_key:
        document = deployed
        told = [f"Providers with a key in the environment: {', '.join(with_key)} (from {DEPLOYED_FILE.name})."]
    else:
        document = _demonstrations(demo_url)
        names = " and ".join(demo.name for demo in DEMOS)
        told = [
            f"No provider key is in the environment, so {names} answer: demonstrations on this machine.",
            "With GROQ_API_KEY or OPENAI_API_KEY set, the real providers do.",
        ]
    if ollama_models:
        return Choice(file, _with_ollama(document, ollama_models), [*told, _ollama_told(ollama_models)])
    return Choice(file, document, told)


def ollama_models() -> list[str]:
    """The models of an Ollama on its usual port; none where there is none."""
    try:
        with _DIRECT.open(f"{OLLAMA}/api/tags", timeout=0.5) as answer:
            models = json.load(answer)["models"]
            return [model["name"] for model in models]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _demonstrations(demo_url: str) -> dict[str, Any]:
    """The dearest is the baseline that savings are counted against. Long prompts are trimmed, so that it is seen."""
    every = [f"{demo.name}/{demo.model}" for demo in DEMOS]
    return {
        "providers": [demo.row(demo_url) for demo in DEMOS],
        "routes": {"auto": {"candidates": every, "baseline": every[-1], "optimize": "trim", "max_prompt_tokens": 6000}},
    }


def _with_ollama(document: Mapping[str, Any], models: list[str]) -> dict[str, Any]:
    """Ollama is offered by name and kept out of `auto`: it costs nothing, so it would always come first."""
    rows = [{"name": model, "price": {"input": 0, "output": 0}} for model in models]
    ollama = {"name": "ollama", "base_url": f"{OLLAMA}/v1", "auth": "none", "models": rows}
    return {**document, "providers": [*document["providers"], ollama]}


def _ollama_told(models: list[str]) -> str:
    return f'Ollama is here too; ask for it with "model": "ollama/{models[0]}".'
