"""The router function: API Gateway's event in, the app's answer out."""

from __future__ import annotations

import asyncio
import os

from mangum import Mangum

from llm_router import wiring

# One event loop for the life of the environment: the HTTP client's connections belong to it.
asyncio.set_event_loop(asyncio.new_event_loop())

handler = Mangum(wiring.router(os.environ), lifespan="off")
