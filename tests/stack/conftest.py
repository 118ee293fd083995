"""What the suite of a deployed stack is given: which stack, the key to its doors, and, emulated, its providers.

Run by `make e2e`, which says by the environment which stack is meant.
"""

from __future__ import annotations

import os
import socket
import threading

import pytest
from pytest_socket import socket_allow_hosts

from provider_server import ProviderServer, always, completion, error
from stack.deployed_stack import Stack

STACK, REGION, PROVIDERS_FD, KEY = "E2E_STACK", "E2E_REGION", "E2E_PROVIDERS_FD", "LLM_ROUTER_KEY"
EMULATED_ONLY, REAL_ONLY = "emulated_only", "real_only"
LEFT_OUT = pytest.StashKey[list[pytest.Item]]()

COSTS = """\
what this does to the stack, and what it costs:
  two answers of at most 16 tokens, one of them streamed, from the provider that the auto route picks: billed by it,
  and counted in the ledger;
  some 60 requests to the router, one run of the stats function, a few reads of what the stack has: below 0.001 USD."""


def pytest_configure(config):
    config.addinivalue_line("markers", f"{EMULATED_ONLY}(reason): needs what only an emulated run has")
    config.addinivalue_line("markers", f"{REAL_ONLY}(reason): needs what only AWS itself has")
    missing = [name for name in (STACK, REGION, KEY) if not os.environ.get(name)]
    if missing and not config.option.help:
        raise pytest.UsageError(
            f"{', '.join(missing)} not set: this suite is run by `make e2e`, or, against a stack of yours, by "
            f"`make e2e STACK=name REGION=...`"
        )


def is_scripted():
    return PROVIDERS_FD in os.environ


def pytest_report_header():
    lines = [f"stack: {os.environ[STACK]} in {os.environ[REGION]}, by {endpoint() or 'AWS itself'}"]
    return lines if is_scripted() else [*lines, *COSTS.splitlines()]


def foreign_marker():
    return REAL_ONLY if is_scripted() else EMULATED_ONLY


def pytest_collection_modifyitems(config, items):
    """What needs another kind of stack is no part of this run; the report says which tests those are, and why."""
    left_out = [item for item in items if item.get_closest_marker(foreign_marker())]
    config.stash[LEFT_OUT] = left_out
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_report_collectionfinish(config):
    by_reason = {}
    for item in config.stash[LEFT_OUT]:
        names = by_reason.setdefault(item.get_closest_marker(foreign_marker()).args[0], {})
        names[item.originalname] = names.get(item.originalname, 0) + 1
    lines = []
    for reason, names in by_reason.items():
        lines.append(f"not applicable to {'an emulated' if is_scripted() else 'a real'} stack, as it {reason}:")
        lines += [f"  {name} ({count})" if count > 1 else f"  {name}" for name, count in names.items()]
    return lines


def endpoint():
    return os.environ.get("AWS_ENDPOINT_URL")


@pytest.fixture(scope="session", autouse=True)
def only_this_machine():
    """An emulated run reaches nothing else; a real one has to."""
    if endpoint():
        socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def stack():
    return Stack(os.environ[STACK], os.environ[REGION], os.environ[KEY], endpoint())


class ScriptedProviders(ProviderServer):
    """Answers at the socket whose address was deployed."""

    def __init__(self):
        super().__init__()
        self.socket.close()
        self.socket = socket.socket(fileno=int(os.environ[PROVIDERS_FD]))
        self.server_address = self.socket.getsockname()


@pytest.fixture(scope="session", autouse=True)
def _serving():
    """Scripts that depend on nothing, so that no test needs another."""
    if not is_scripted():
        yield None
        return
    with ScriptedProviders() as server:
        for name in ("steady", "dear", "unstored"):
            server.add(name, always(completion(f"Hello from {name}.")))
        server.add("broken", always(error(503)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def providers(_serving):
    """Each scripted provider, with what reached it; for tests of the emulated run."""
    return _serving.providers


@pytest.fixture(scope="session")
def answer(stack, _serving):
    """One answer for all tests that look at one: on a real stack it costs money."""
    return stack.generate({"prompt": "Say hello in five words.", "max_tokens": 16, "metadata": {"by": "make e2e"}})


@pytest.fixture(scope="session")
def streamed(stack, _serving):
    """The same through the streaming door."""
    asked = {"messages": [{"role": "user", "content": "Say hello in five words."}], "metadata": {"by": "make e2e"}}
    return stack.post("/v1/chat/completions", {**asked, "max_tokens": 16, "stream": True})
