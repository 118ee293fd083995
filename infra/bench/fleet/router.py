"""One process of the fleet: the app that is deployed, under uvicorn."""

from __future__ import annotations

import argparse
import asyncio
import os

from infra.local import processes
from llm_router import fleet, wiring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument(
        "--patience-s", type=float, default=fleet.ANSWERED_WITHIN_S, help="with DynamoDB, of the breaker"
    )
    arguments = parser.parse_args()
    fleet.ANSWERED_WITHIN_S = arguments.patience_s
    processes.stop_when_orphaned()
    asyncio.run(processes.serve(wiring.router(os.environ), fd=arguments.fd))


if __name__ == "__main__":
    main()
