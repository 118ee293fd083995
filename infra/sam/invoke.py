"""`make invoke` and `make invoke-all`: events through the built functions, in containers, against a local run."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from infra.sam import local_lambda
from infra.sam.build import ROOT
from infra.sam.local_lambda import LocalLambda
from infra.sam.obstacles import ObstacleError

EVENTS = ROOT / "events"
STOP_WITHIN_S = 15.0
REFUSED = re.compile(r"\b(bad|broken|unknown)\b")
"""In the name of an event's file: its answer is an error 400. Any other is to succeed."""


@dataclass(frozen=True, slots=True)
class Event:
    file: Path
    content: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """`answer` is None where the function gave none: it ran out of time or memory, or its container failed."""

    answer: Any
    log: Path
    took_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("event", type=Path, nargs="?", help="a JSON file; left out: every file of events/")
    asked: Path | None = parser.parse_args().event
    state_dir = Path(os.environ.get("STATE_DIR") or ".state").absolute()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        asked_events = [_read(path) for path in ([asked] if asked else sorted(EVENTS.glob("*.json")))]
        with local_lambda.ready(state_dir) as prepared:
            return _one(prepared, asked_events[0]) if asked else int(_all(prepared, asked_events) > 0)
    except ObstacleError as obstacle:
        print(f"\n{obstacle}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _read(file: Path) -> Event:
    try:
        return Event(file, json.loads(file.read_text()))
    except OSError as error:
        there = ", ".join(f"events/{path.name}" for path in sorted(EVENTS.glob("*.json")))
        raise ObstacleError(
            f"{file} can't be read: {error.strerror}. Give EVENT=<file>, one of your own or of these: {there}"
        ) from error
    except ValueError as error:
        raise ObstacleError(f"{file} is no JSON: {error}") from error


def _one(prepared: LocalLambda, event: Event) -> int:
    outcome = _invoke(prepared, event)
    fault = crash(outcome.answer)
    if fault:
        print(f"{fault}\nThe end of {outcome.log}:\n{_end_of(outcome.log)}", file=sys.stderr)
    else:
        print(f"{summary(outcome.answer)} after {outcome.took_s:.1f} s. Its log: {outcome.log}", file=sys.stderr)
    if outcome.answer is not None:
        print(json.dumps(shown(outcome.answer), indent=2, ensure_ascii=False))
    return 1 if fault else 0


def run_all(prepared: LocalLambda) -> int:
    """Every file of events/; the number of those that were not answered as their names promise."""
    return _all(prepared, [_read(path) for path in sorted(EVENTS.glob("*.json"))])


def _all(prepared: LocalLambda, events: list[Event]) -> int:
    broken = 0 if events else 1
    for event in events:
        outcome = _invoke(prepared, event)
        fault = broken_promise(event.file.stem, outcome.answer)
        result = f"NOT AS PROMISED: {fault} ({outcome.log})" if fault else summary(outcome.answer)
        print(f"{event.file.name:<28} {outcome.took_s:4.1f} s  {result}", flush=True)
        broken += fault is not None
    print(f"{len(events) - broken} of {len(events)} events answered as their names promise.", flush=True)
    return broken


def _invoke(prepared: LocalLambda, event: Event) -> Outcome:
    log = prepared.logs / f"{event.file.stem}.log"
    command = prepared.sam_local("invoke", function_for(event.content), "--event", str(event.file))
    started_s = time.monotonic()
    with log.open("wb") as noise:
        output = _output_of(command, prepared.environ, noise)
    return Outcome(answer_in(output), log, time.monotonic() - started_s)


def _output_of(command: list[str], environ: dict[str, str], noise: BinaryIO) -> str:
    """In a session of its own, so that an interruption reaches it once and it clears its container away."""
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=noise, text=True, errors="replace", start_new_session=True
    ) as process:
        try:
            return process.communicate()[0]
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _end_of(log: Path, *, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def function_for(event: Any) -> str:
    """What the gateway sends goes to the router, and the scheduler's to the stats function."""
    return "RouterFunction" if isinstance(event, dict) and "httpMethod" in event else "StatsFunction"


def answer_in(output: str) -> Any:
    """`sam local invoke` prints a function's answer as the last line, in JSON, and nothing where there is none."""
    lines = output.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None


def crash(answer: Any) -> str | None:
    """What befell the function, if it gave no answer of its own."""
    if not isinstance(answer, dict):
        return "The function gave no answer."
    if "errorMessage" in answer:
        return f"The function failed: {answer.get('errorType', 'error')}: {answer['errorMessage']}"
    return None


def broken_promise(name: str, answer: Any) -> str | None:
    """How the answer differs from what the event's name promises."""
    if fault := crash(answer):
        return fault
    if name.startswith("schedule"):
        return None if "as_of" in answer else f"no report of the stats function: {json.dumps(answer)[:200]}"
    promised = 400 if REFUSED.search(name) else 200
    status = answer.get("statusCode")
    return None if status == promised else f"status {status} instead of {promised}: {str(answer.get('body'))[:200]}"


def summary(answer: dict[str, Any]) -> str:
    return f"status {answer['statusCode']}" if "statusCode" in answer else f"report {json.dumps(answer)}"


def shown(answer: Any) -> Any:
    """What a caller would read: the body of an answer to the gateway, decoded where it is JSON."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return answer
    try:
        return json.loads(answer.get("body") or "null")
    except ValueError:
        return answer["body"]


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
