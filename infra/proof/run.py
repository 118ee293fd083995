"""Proves the ledger: many requests to several processes that are killed, providers and a DynamoDB that fail.

Then everything is held against what the providers have billed by their own count. Prints the proof; ends with 1 when
anything is off. See docs/proof.md.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infra.local import processes
from infra.proof import closing, members, report
from infra.proof.members import ROOT, Members
from infra.proof.polls import Polls

LOADS = 2
ROUTERS = 3
STATS_FUNCTIONS = 2
AT_ONCE = 16
KILL_EACH_S = (3.0, 7.0)
"""One of the routers or stats functions, drawn anew."""

SAID_EACH_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="proof-"))
    began_s = time.monotonic()
    with members.running(folder, routers=ROUTERS, stats_functions=STATS_FUNCTIONS, seed=arguments.seed) as running:
        violence = Violence(running, requests=arguments.requests, seed=arguments.seed)
        violence.rage()
        found = closing.closed(running, violence.polls)
    lines = report.lines(found, requests=arguments.requests, seed=arguments.seed, kills=violence.kills)
    print("\n".join(lines))
    print(f"\nTook {time.monotonic() - began_s:.0f} s.")
    if found.problems:
        print(f"Off: {len(found.problems)}. What is there to look at lies in {folder}.")
        return 1
    shutil.rmtree(folder)
    print("Nothing is off.")
    return 0


class Violence:
    """The time of the load."""

    def __init__(self, running: Members, *, requests: int, seed: int) -> None:
        self._members = running
        self._requests = requests
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311  # to be told again, not a secret
        self.polls = Polls(running)
        self.kills = {"routers": 0, "stats functions": 0}

    def rage(self) -> None:
        loads = [self._load(number) for number in range(LOADS)]
        try:
            with self.polls.looking():
                self._until_done(loads)
        finally:
            for load in loads:
                load.kill()
                load.wait()
        if any(load.returncode for load in loads):
            raise SystemExit("A process of callers has failed.")

    def _until_done(self, loads: list[subprocess.Popen[bytes]]) -> None:
        kill_at_s = time.monotonic() + self._chance.uniform(*KILL_EACH_S)
        say_at_s = time.monotonic()
        while any(load.poll() is None for load in loads):
            now_s = time.monotonic()
            if now_s >= kill_at_s:
                self._kill_one()
                kill_at_s = now_s + self._chance.uniform(*KILL_EACH_S)
            if now_s >= say_at_s:
                asked, kills = self.polls.asked(), sum(self.kills.values())
                print(f"  {asked:6} of {self._requests} asked, {kills} kills", flush=True)
                say_at_s = now_s + SAID_EACH_S
            time.sleep(processes.POLL_S)

    def _kill_one(self) -> None:
        member = self._chance.choice(self._members.violated)
        member.kill()
        member.start()
        self.kills["routers" if member in self._members.routers else "stats functions"] += 1

    def _load(self, number: int) -> subprocess.Popen[bytes]:
        share = self._requests // LOADS + (self._requests % LOADS if number == 0 else 0)
        arguments = ["--name", f"load{number}", "--requests", str(share), "--at-once", str(AT_ONCE)]
        arguments += ["--seed", str(self._seed), "--folder", str(self._members.folder), "--urls"]
        arguments += [router.url for router in self._members.routers]
        return subprocess.Popen(
            [sys.executable, "-m", "infra.proof.callers", *arguments], cwd=ROOT, env=members.plain()
        )


if __name__ == "__main__":
    sys.exit(main())
