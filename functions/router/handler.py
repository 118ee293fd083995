"""The router function: API Gateway's event in, the app's answer out."""

from __future__ import annotations

import asyncio
import gc
import os

# What is imported stays. Looking for garbage in it meanwhile would be a tenth of the cold start.
gc.disable()

from mangum import Mangum  # noqa: E402  # after the line above

from llm_router import wiring  # noqa: E402  # the same

# One event loop for the life of the environment: the HTTP client's connections belong to it.
asyncio.set_event_loop(asyncio.new_event_loop())

handler = Mangum(wiring.router(os.environ), lifespan="off")

gc.freeze()  # nor is it looked through at any request
gc.enable()
