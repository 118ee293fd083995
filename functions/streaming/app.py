"""The streaming function: the router's app for the server that run.sh starts behind the Lambda Web Adapter."""

from __future__ import annotations

import gc
import os

# What is imported stays. Looking for garbage in it meanwhile would be a tenth of the cold start.
gc.disable()

from llm_router import wiring  # noqa: E402  # after the line above

app = wiring.router(os.environ)

gc.freeze()  # nor is it looked through at any request
gc.enable()
