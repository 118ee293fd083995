"""Each test of a client runs against both routers."""

from __future__ import annotations

import os

import pytest

from clients import routers

RUN_BY_MAKE, FUNCTION = "make run", "streaming function"
BUILD = os.environ.get("STREAMING_BUILD", "")

NOBODY_LISTENS = "http://127.0.0.1:9"
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
    os.environ[name] = NOBODY_LISTENS
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
os.environ["NODE_USE_ENV_PROXY"] = "1"
"""Clients that are programs of their own can't get past this machine either."""

for name in [name for name in os.environ if name.startswith(("OPENAI_", "LANGCHAIN_", "LANGSMITH_", "LLM_"))]:
    del os.environ[name]


@pytest.fixture(scope="session", params=[RUN_BY_MAKE, FUNCTION])
def running(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("router")
    if request.param == RUN_BY_MAKE:
        starting = routers.run_by_make(folder)
    else:
        starting = routers.run_as_function(folder, build=BUILD)
    with starting as found:
        yield found


@pytest.fixture
def router(running):
    running.played.clear()
    yield running
    for played in running.played:
        assert played.provider.failures == [], "a script's own assertion"
