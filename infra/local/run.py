"""The entry of `make run`: ready for a Ctrl-C before anything heavy is loaded, which takes most of a second."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)  # a shell that runs this in its background has it ignored
    print("Starting Multi-LLM Router on this machine ...", flush=True)
    try:
        from infra.local import supervisor  # noqa: PLC0415  # heavy

        return supervisor.main()
    except KeyboardInterrupt:
        print("\nStopped. The data is kept.")
        return 0


def _interrupt(_: int, __: FrameType | None) -> None:
    """The first signal ends the run; further ones must not end the ending."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
