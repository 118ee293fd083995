"""Under which name a container's request reaches what listens on this machine."""

from __future__ import annotations

import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config

from infra.sam import relay

CHUNK_BYTES = relay.CHUNK_BYTES
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


def test_a_caller_that_is_gone_is_no_fault(caplog):
    """Its reset reaches the relay before the target has come to its end."""
    with socket.create_server(("127.0.0.1", 0)) as target, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        with relay.relaying("127.0.0.1", port, target.getsockname()):
            for _ in range(20):
                caller = socket.create_connection(("127.0.0.1", port))
                caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                served, _address = target.accept()
                with served:
                    served.recv(CHUNK_BYTES)
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    caller.close()
    assert caplog.records == []
