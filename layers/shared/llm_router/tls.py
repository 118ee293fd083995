"""The TLS context of all that a process connects to: reading the certificates takes 18 ms, so it is made once."""

from __future__ import annotations

import ssl
from functools import cache

import certifi


@cache
def context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())
