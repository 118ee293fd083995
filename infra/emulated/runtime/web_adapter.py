"""Stands in for AWS's Web Adapter: hands the gateway's events to the app that the function's own server would run."""

import asyncio

from app import app  # the function's own module: this one is loaded in the function's process
from mangum import Mangum

asyncio.set_event_loop(asyncio.new_event_loop())

handler = Mangum(app, lifespan="off")
