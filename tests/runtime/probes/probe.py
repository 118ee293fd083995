"""The real handler, with a look at its process after each answer, and ways to misbehave on demand."""

from __future__ import annotations

import asyncio
import os
import time

import handler as real

ENDLESS_S = 3600


def handler(event, context):
    limits = {"memory_mb": context.memory_limit_in_mb, "remaining_ms": context.get_remaining_time_in_millis()}
    if event.get("never_returns"):
        time.sleep(ENDLESS_S)
    if size := event.get("answers_with_bytes"):
        return "a" * (size - len('""'))
    answer = real.handler(event, context)
    loop = asyncio.get_event_loop()
    if event.get("leaves_a_task"):
        leave = asyncio.sleep(ENDLESS_S)
        event["kept"] = loop.create_task(leave)
    return {
        **answer,
        "pid": os.getpid(),
        "pending": [repr(task) for task in asyncio.all_tasks(loop)],
        "limits": limits,
    }
