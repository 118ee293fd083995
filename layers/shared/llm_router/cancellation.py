"""What happens when a caller hangs up: its task is cancelled, and yet what was begun is brought to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


def forget() -> None:
    """A cancellation that was taken note of is over: later time limits must not mistake it for theirs."""
    task = asyncio.current_task()
    while task and task.cancelling():
        task.uncancel()


async def to_its_end(work: Awaitable[T]) -> T:
    """Wait for what must not be left half done, even when nobody waits for us any more."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            forget()
    return task.result()
