"""The built functions in Lambda's own runtime, with the tables, the keys and the providers around them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import simplejson

import handlers
from infra.runtime import backend, declared, instance
from infra.runtime.backend import Backend, Resources
from infra.runtime.instance import Answer, Instance, Launch
from llm_router import journal_items
from llm_router.usage import UsageRecord
from provider_server import Provider, ProviderServer, always, completion

PROBES = Path(__file__).parent / "probes"
PROVIDER_KEY = "key-of-provider"
TWO = """
providers:
  - {{name: cheap, base_url: {cheap}, models: [{{name: small, price: {{input: 0.05, output: 0.1}}}}]}}
  - {{name: dear, base_url: {dear}, models: [{{name: big, price: {{input: 5, output: 10}}}}]}}
"""


class Connections(ProviderServer):
    """Counts the connections that it took, and can close them as a provider does with one that is long idle."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[socket.socket] = []

    def get_request(self):
        connection, address = super().get_request()
        self.accepted.append(connection)
        return connection, address

    def close_connections(self):
        for connection in self.accepted:
            if connection.fileno() >= 0:
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def connections():
    with Connections() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Reply:
    """The router's answer, out of Lambda's."""

    status: int
    headers: dict[str, str]
    body: dict[str, object]


@dataclass
class Runtime:
    """What a test has: two providers, tables of its own, and functions to start."""

    backend: Backend
    resources: Resources
    server: Connections
    cheap: Provider
    dear: Provider
    home: Path
    stack: ExitStack
    providers: str = TWO
    parameters: dict[str, str] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    _started: int = 0

    def router(self, **options) -> Instance:
        return self._start("RouterFunction", providers_file=self._providers(), **options)

    def streaming(self, **options) -> Instance:
        return self._start("StreamingFunction", providers_file=self._providers(), **options)

    def stats(self, **options) -> Instance:
        return self._start("StatsFunction", **options)

    def silent(self, _call):
        """A provider's script that says nothing until the test is over."""
        self.released.wait()
        return completion()

    def _providers(self) -> Path:
        file = self.home / "providers.yaml"
        urls = {name: self.server.base_url(name) for name in self.server.providers}
        file.write_text(self.providers.format(**urls))
        return file

    def _start(self, name, *, timeout_s=None, **options) -> Instance:
        function = declared.function(
            declared.load(), name, resources=self.resources.names(), parameters=self.parameters
        )
        if timeout_s:
            function = replace(function, timeout_s=timeout_s)
        self._started += 1
        home = self.home / f"instance-{self._started}"
        launch = Launch(function=function, endpoint=self.backend.endpoint, home=home, **options)
        return self.stack.enter_context(instance.running(launch))

    def generate_event(self, body=None):
        return handlers.post(
            "/generate",
            body or {"prompt": "Hello"},
            authorization=f"Bearer {self.resources.client_key}",
        )

    def generate(self, router: Instance, body=None) -> Reply:
        return reply(router.invoke(self.generate_event(body)))

    def records(self) -> list[UsageRecord]:
        pages = self.backend.dynamodb().get_paginator("scan").paginate(TableName=self.resources.ledger_table)
        items = [item for page in pages for item in page["Items"]]
        found = [journal_items.record_of(item) for item in items if item["pk"]["S"].startswith("journal#")]
        return sorted(found, key=lambda record: record.opened_at)


def reply(answer: Answer) -> Reply:
    value = answer.value()
    assert "statusCode" in value, answer.text[:2000]
    return Reply(value["statusCode"], value["headers"], simplejson.loads(value["body"], use_decimal=True))


@pytest.fixture(scope="session")
def aws(tmp_path_factory) -> Iterator[Backend]:
    with backend.running(tmp_path_factory.mktemp("aws")) as found:
        stage = declared.load()["Parameters"]["Stage"]["Default"]
        for provider in ("cheap", "dear"):
            found.store_provider_key(provider, PROVIDER_KEY, stage=stage)
        yield found


@pytest.fixture
def runtime(aws, tmp_path) -> Iterator[Runtime]:
    with connections() as server, ExitStack() as stack:
        found = Runtime(
            backend=aws,
            resources=aws.fresh(),
            server=server,
            cheap=server.add("cheap", always(completion("Cheap."))),
            dear=server.add("dear", always(completion("Dear."))),
            home=tmp_path,
            stack=stack,
        )
        try:
            yield found
        finally:
            found.released.set()


@pytest.fixture
def schedule_event():
    return json.loads((handlers.EVENTS / "schedule.json").read_text())
