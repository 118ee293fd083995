"""Under which name a container's request reaches what listens on this machine."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config

from infra.sam import relay

TARGET = ("127.0.0.1", 4566)
NAMED = b"Host: 127.0.0.1:4566\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "handed_on"),
    [
        (b"GET / HTTP/1.1\r\nHost: 172.17.0.1:4566\r\n\r\n", b"GET / HTTP/1.1\r\n" + NAMED),
        (b"GET / HTTP/1.1\r\nhost:x\r\nA: b\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\r\n" + NAMED),
        (
            b"PUT /k HTTP/1.1\r\nConnection: keep\r\nHost: x\r\n\r\nHost: y",
            b"PUT /k HTTP/1.1\r\n" + NAMED + b"Host: y",
        ),
        (b"GET / HTTP/1.1\r\nX-Forwarded-Host: x\r\n\r\n", b"GET / HTTP/1.1\r\nX-Forwarded-Host: x\r\n" + NAMED),
    ],
)
def test_a_request_is_handed_on_under_the_targets_name(request_, handed_on):
    assert relay.renamed(request_, TARGET) == handed_on


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01 hello", b"GET / HTTP/1.1\r\nHost: cut", b"a\r\nHost: x\r\n\r\n"])
def test_what_is_no_http_request_is_left_as_it_is(begun):
    assert relay.renamed(begun, TARGET) == begun


class _Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.headers["Host"], len(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", self.headers["Connection"])
        self.end_headers()

    def log_message(self, *_):
        pass


def test_every_call_of_one_client_is_renamed_also_with_a_large_body():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Recorder) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        server.heard = []
        port = taken.getsockname()[1]
        taken.close()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with relay.relaying("127.0.0.1", port, ("127.0.0.1", server.server_port)):
            config = Config(proxies={}, retries={"total_max_attempts": 1}, request_checksum_calculation="when_required")
            client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=config)
            for size in (1, 300_000, 2):
                client.put_object(Bucket="page", Key="k", Body=b"x" * size)
        server.shutdown()
    assert server.heard == [(f"127.0.0.1:{server.server_port}", size) for size in (1, 300_000, 2)]


def test_a_caller_that_is_gone_is_no_fault():
    """Its reset has come, unheard as yet, when the end of the answer is to be told."""

    async def answer_to_nobody():
        with socket.create_server(("127.0.0.1", 0)) as server:
            _, sink = await asyncio.open_connection(*server.getsockname())
            gone, _address = server.accept()
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.close()
            ended = asyncio.StreamReader()
            ended.feed_eof()
            await relay._copy(ended, sink)
            sink.close()

    asyncio.run(answer_to_nobody())
