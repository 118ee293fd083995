"""DynamoDB down, slow or throttled, each for real: the caller still gets the answer, and the money goes to the log."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import handlers
from provider_server import always, completion, serving

FAULTS = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "failing": (500, "InternalServerError"),
    "forbidden": (400, "AccessDeniedException"),
}


class FaultyAws(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fault):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.fault == "slow":
            time.sleep(30)
            return
        status, code = FAULTS.get(self.server.fault, (200, None))
        body = json.dumps({"__type": code, "message": "no"}).encode() if code else b"<html>"
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


def endpoint(fault):
    if fault == "down":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = FaultyAws(fault)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts a router whose DynamoDB has the fault and whose provider is well."""
    with serving() as server:
        provider = server.add("only", always(completion()))
        file = tmp_path / "providers.yaml"
        file.write_text(
            f"providers: [{{name: only, base_url: {server.base_url('only')}, auth: none, "
            "models: [{name: m, price: {input: 1, output: 2}}]}]"
        )

        def start(fault, **changes):
            environ = {
                "AWS_ENDPOINT_URL_DYNAMODB": endpoint(fault),
                "LEDGER_TABLE": "ledger",
                "STATE_TABLE": "state",
                "PROVIDERS_FILE": str(file),
                "PROVIDER_KEYS": "environment",
                "REQUIRE_CLIENT_KEY": "false",
            }
            for name, value in (environ | changes).items():
                monkeypatch.setenv(name, value)
            logging.Logger.manager.loggerDict.pop("router", None)
            return handlers.load("router"), provider

        yield start
    loop = asyncio.get_event_loop()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    asyncio.set_event_loop(None)


def call(handler, event):
    response = handler(event, handlers.Context())
    return response["statusCode"], json.loads(response["body"])


@pytest.mark.parametrize("fault", ["down", "slow", *FAULTS])
def test_the_caller_gets_the_answer_and_the_log_keeps_the_record(start, capsys, fault):
    handler, provider = start(fault)
    status, body = call(handler, handlers.event("generate"))
    assert (status, body["status"]) == (200, "success")
    assert len(provider.calls) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kept = [json.loads(line["record"]) for line in lines if str(line.get("event")).startswith("ledger.")]
    assert [line["event"] for line in lines if "record" in line] == ["ledger.unopened", "ledger.unwritten"]
    assert [record["state"] for record in kept] == ["pending", "settled"]
    assert kept[-1]["request_id"] == body["requestId"]
    assert kept[-1]["cost_usd"] == body["cost"]


@pytest.mark.parametrize("fault", ["down", "throttled", "not DynamoDB"])
def test_figures_that_cannot_be_read_are_an_error_and_not_a_nothing(start, fault):
    handler, _ = start(fault)
    status, body = call(handler, handlers.event("stats"))
    assert (status, body["error"]["code"]) == (503, "stats_unavailable")


def test_a_key_that_cannot_be_checked_stays_outside_and_is_not_called_wrong(start):
    handler, provider = start("down", REQUIRE_CLIENT_KEY="true")
    event = handlers.post("/generate", {"prompt": "Hi"}, authorization="Bearer llmr_abcdefgh_some-secret")
    status, body = call(handler, event)
    assert (status, body["error"]["code"]) == (503, "key_store_unavailable")
    assert provider.calls == []
