"""One process of the fleet: the app that is deployed, under uvicorn."""

from __future__ import annotations

import argparse
import asyncio
import os

from infra.local import processes
from llm_router import wiring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    asyncio.run(processes.serve(wiring.router(os.environ), fd=arguments.fd))


if __name__ == "__main__":
    main()
