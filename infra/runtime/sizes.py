"""`make sizes`: measures the functions at several memory sizes and writes docs/sizing.md.

Lambda's share of a processor and its memory limit are simulated by control groups on this machine's processor, so
every number is a simulated one: good for comparing sizes with each other, not a promise of what an account will see.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from infra.runtime import backend, cgroups, declared, instance, provider, sizing_page
from infra.runtime.backend import Backend, Resources
from infra.runtime.cgroups import Group
from infra.runtime.costs import Measured
from infra.runtime.declared import Function
from infra.runtime.instance import Instance, Launch
from infra.runtime.sizing_page import Basis
from infra.sam.build import ROOT

SIZES_MB = (128, 256, 512, 1024)
RUNS = 3
ROUTER, STREAMING, STATS = "RouterFunction", "StreamingFunction", "StatsFunction"
WARM_EVENTS = {ROUTER: 10, STREAMING: 10, STATS: 4}
FIRST_IN_LINE = -10
"""Niceness of what answers the functions: their wait for it must not depend on what else this machine does."""

STARTED = "INIT RTDONE"
KILLED = "signal: killed"
"""How the emulator names the end of a runtime that the kernel has ended."""

POLL_S = 0.002
MINUTES_A_MONTH = 30 * 24 * 60
MODEL = f"{provider.NAME}/{provider.MODEL}"


class FunctionFailedError(Exception):
    """At an ordinary event, so that there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Run:
    """One life of an instance. `warm_s` and `warm_cpu_s` are medians over its warm events."""

    init_s: float
    first_s: float
    warm_s: float
    warm_cpu_s: float
    peak_mb: float | None


@dataclass(frozen=True, slots=True)
class Bench:
    """What a run needs around it."""

    backend: Backend
    resources: Resources
    providers_file: Path
    home: Path
    group: Group

    def function(self, name: str, memory_mb: int) -> Function:
        found = declared.function(declared.load(), name, resources=self.resources.names())
        return replace(found, memory_mb=memory_mb)

    def event(self, name: str, prompt: str = "What is a router?") -> dict[str, Any]:
        if name == STATS:
            return _event("schedule")
        path, body = _asked(name, prompt)
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.resources.client_key}"}
        multi = {name: [value] for name, value in headers.items()}
        sent = {"path": path, "resource": path, "body": json.dumps(body)}
        return {**_event("generate"), **sent, "headers": headers, "multiValueHeaders": multi}


def _asked(name: str, prompt: str) -> tuple[str, dict[str, object]]:
    if name == ROUTER:
        return "/generate", {"prompt": prompt, "model": MODEL}
    return "/v1/chat/completions", {
        "messages": [{"role": "user", "content": prompt}],
        "model": MODEL,
        "stream": True,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="lives of an instance for each number")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "sizing.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # a shell that runs this in its background has it ignored
    try:
        with tempfile.TemporaryDirectory() as folder, _bench(Path(folder)) as bench:
            found = {name: _sizes(bench, name, arguments.runs) for name in WARM_EVENTS}
    except (cgroups.LimitsUnavailableError, instance.RuntimeMissingError, FunctionFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    page = sizing_page.page(found[ROUTER], found[STREAMING], found[STATS], basis=_basis(arguments.runs))
    arguments.out.write_text(page)
    print(page)
    return 0


def _basis(runs: int) -> Basis:
    template = declared.load()
    defaults = {name: row["Default"] for name, row in template["Parameters"].items()}
    return Basis(
        measured_on=datetime.now(UTC).date(),
        runs=runs,
        busy=os.getloadavg()[2] / (os.cpu_count() or 1),
        processor=_processor(),
        largest_body_bytes=int(defaults["MaxBodyBytes"]),
        stats_runs_a_month=round(MINUTES_A_MONTH / int(defaults["StatsEveryMinutes"])),
    )


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


@contextmanager
def _bench(home: Path) -> Iterator[Bench]:
    with (
        cgroups.group() as group,
        _first_in_line(),
        backend.running(home) as aws,
        backend.child("infra.runtime.provider", home=home) as provider_url,
    ):
        stage = declared.load()["Parameters"]["Stage"]["Default"]
        aws.store_provider_key(provider.NAME, "not-a-key", stage=stage)
        file = home / "providers.yaml"
        file.write_text(yaml.safe_dump({"providers": [provider.row(provider_url)]}))
        yield Bench(aws, aws.fresh(), file, home, group)


@contextmanager
def _first_in_line() -> Iterator[None]:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, FIRST_IN_LINE)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _sizes(bench: Bench, name: str, runs: int) -> list[Measured]:
    return [_measured(bench, name, memory_mb, runs) for memory_mb in SIZES_MB]


def _measured(bench: Bench, name: str, memory_mb: int, runs: int) -> Measured:
    print(f"{name} at {memory_mb} MB ...", file=sys.stderr, flush=True)
    held = [_run(bench, name, memory_mb, lends=False, number=number) for number in range(runs)]
    lent = [_run(bench, name, memory_mb, lends=True, number=number) for number in range(runs)]
    every = [*held, *lent]
    peaks = [run.peak_mb for run in every if run.peak_mb is not None]
    return Measured(
        memory_mb=memory_mb,
        init_s=statistics.median(run.init_s for run in held),
        lent_init_s=statistics.median(run.init_s for run in lent),
        first_s=statistics.median(run.first_s for run in every),
        warm_s=statistics.median(run.warm_s for run in every),
        warm_cpu_s=statistics.median(run.warm_cpu_s for run in every),
        peak_mb=max(peaks) if len(peaks) == len(every) else None,
    )


def _run(bench: Bench, name: str, memory_mb: int, *, lends: bool, number: int) -> Run:
    """`lends`: a whole processor until the runtime asks for its first event, as Lambda is seen to do."""
    group = bench.group
    group.limit_memory(memory_mb)
    group.unlimit_cpu() if lends else group.limit_cpu(memory_mb)
    launch = Launch(
        function=bench.function(name, memory_mb),
        endpoint=bench.backend.endpoint,
        home=bench.home / f"{name}-{memory_mb}-{'lent' if lends else 'held'}-{number}",
        providers_file=None if name == STATS else bench.providers_file,
        under=group.entering(),
    )
    event = bench.event(name)
    with instance.running(launch) as running:
        with _limited_when_started(running, group, memory_mb):
            _answered(running, event)
        before_s = group.cpu_s()
        for _ in range(WARM_EVENTS[name]):
            _answered(running, event)
        warm_cpu_s = (group.cpu_s() - before_s) / WARM_EVENTS[name]
        first_ms, *warm_ms = running.invoked_ms()
        waited_s = 0.0 if name == STATS else provider.WAIT_S
        return Run(
            init_s=running.init_ms()[0] / 1000,
            first_s=first_ms / 1000 - waited_s,
            warm_s=statistics.median(warm_ms) / 1000 - waited_s,
            warm_cpu_s=warm_cpu_s,
            peak_mb=_peak_mb(running, bench.event(name, _largest_prompt(launch.function))),
        )


@contextmanager
def _limited_when_started(running: Instance, group: Group, memory_mb: int) -> Iterator[None]:
    """What was lent is taken back when the start is over."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            if STARTED in running.logged():
                break
        group.limit_cpu(memory_mb)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            over.set()
            watching.result()  # a limit that could not be set must not pass for one


def _answered(running: Instance, event: Mapping[str, Any]) -> None:
    _check(running, running.invoke(event).value())


def _check(running: Instance, answer: Mapping[str, Any]) -> None:
    if not _is_good(running.function.logical_name, answer):
        function = running.function
        raise FunctionFailedError(
            f"{function.logical_name} does not work at {function.memory_mb} MB: {answer}\n{running.logged()[-2000:]}"
        )


def _is_good(name: str, answer: Mapping[str, Any]) -> bool:
    if name == STATS:
        return "records" in answer
    return answer.get("statusCode") == 200 and (name != STREAMING or answer["body"].endswith("data: [DONE]\n\n"))


def _peak_mb(running: Instance, largest: Mapping[str, Any]) -> float | None:
    """After the largest request that is taken; None where the kernel ended the runtime for its memory."""
    pid = running.runtime_pid()
    answer = running.invoke(largest)
    if KILLED in answer.text:
        return None
    _check(running, answer.value())
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _largest_prompt(function: Function) -> str:
    size = int(function.variables.get("MAX_BODY_BYTES", 0))
    return "a" * max(1, size - 200)


def _event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
