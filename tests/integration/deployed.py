"""The router function in a fresh environment, and what lies around it."""

from __future__ import annotations

import asyncio
import logging

import boto3
import simplejson

import handlers
from builders import VOCABULARY_DIR
from integration.tables import LEDGER_TABLE, STATE_TABLE
from llm_router import journal_items
from provider_server import always, completion

DEAR_FIRST = """
providers:
  - {{name: dear, base_url: {dear}, auth: none, models: [{{name: big, price: {{input: 5, output: 10}}}}]}}
  - {{name: cheap, base_url: {cheap}, auth: none, models: [{{name: small, price: {{input: 0.05, output: 0.1}}}}]}}
"""


class Router:
    """The handler of a fresh environment, and what lies around it."""

    def __init__(self, server, monkeypatch, tmp_path):
        self.server = server
        self.dear = server.add("dear", always(completion("Dear.")))
        self.cheap = server.add("cheap", always(completion("Cheap.")))
        self.file = tmp_path / "providers.yaml"
        self.file.write_text(DEAR_FIRST.format(dear=server.base_url("dear"), cheap=server.base_url("cheap")))
        self.environ = {
            "LEDGER_TABLE": LEDGER_TABLE,
            "STATE_TABLE": STATE_TABLE,
            "PROVIDERS_FILE": str(self.file),
            "VOCABULARY_DIR": str(VOCABULARY_DIR),
            "PROVIDER_KEYS": "environment",
            "REQUIRE_CLIENT_KEY": "false",
            "STAGE": "test",
        }
        self.monkeypatch = monkeypatch
        self._handler = None

    @property
    def app(self):
        return self._handler.app

    def start(self, **changes):
        logging.Logger.manager.loggerDict.pop("router", None)  # it would write to the output of the test before
        for name, value in (self.environ | changes).items():
            self.monkeypatch.setenv(name, value)
        self.stop()
        self._handler = handlers.load("router")
        return self

    def stop(self):
        """Close what it keeps open, as the end of an environment does."""
        if self._handler:
            transport = self.app.state.transport
            asyncio.get_event_loop().run_until_complete(transport.close())
            self._handler.app.state.access.close()

    def invoke(self, event, **context):
        return self._handler(event, handlers.Context(**context))

    def call(self, event, **context):
        response = self.invoke(event, **context)
        return response["statusCode"], response["headers"], simplejson.loads(response["body"], use_decimal=True)

    def generate(self, body=None, **headers):
        return self.call(handlers.post("/generate", body or {"prompt": "Hello"}, **headers))

    def records(self):
        items = boto3.client("dynamodb").scan(TableName=LEDGER_TABLE)["Items"]
        return [journal_items.record_of(item) for item in items if item["pk"]["S"].startswith("journal#")]
