"""What our client of DynamoDB and Parameter Store makes of a service that answers well, badly, late or not at all."""

from __future__ import annotations

import json
import socket
import struct
import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from llm_router import aws_access, aws_json
from llm_router.aws_access import AwsAccess

KEY = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"}
CONDITION_FAILED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message": "no",
    "Item": {"pk": {"S": "there"}, "sums": {"B": "AAE="}},
}


@dataclass
class Service:
    """Answers one request after the other by the script, the last part for ever."""

    script: list
    url: str = ""
    requests: list = field(default_factory=list)
    connections: set = field(default_factory=set)
    access: AwsAccess | None = None

    @property
    def client(self):
        return self.access.dynamodb()


@contextmanager
def serving(*script):
    service = Service(list(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            service.requests.append((self.headers["x-amz-target"], json.loads(body)))
            service.connections.add(self.client_address)
            part = service.script[min(len(service.requests), len(service.script)) - 1]
            part(self)

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        service.access = aws_access.read({**KEY, "AWS_ENDPOINT_URL": service.url})
        try:
            yield service
        finally:
            service.access.close()
            server.shutdown()
            thread.join()


def answers(status, said, *, then_close=False, checksum=None):
    body = said if isinstance(said, bytes) else json.dumps(said).encode()

    def part(handler):
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.send_header("x-amz-crc32", checksum or str(zlib.crc32(body)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = then_close

    return part


def refuses(code, status=400):
    return answers(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"})


def resets(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hangs_up(handler):
    handler.close_connection = True


def breaks_off(handler):
    handler.send_response(200)
    handler.send_header("content-length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


def falls_silent(handler):
    threading.Event().wait(1)
    handler.close_connection = True


WELL = answers(200, {})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(aws_json, "READ_TIMEOUT_S", 0.3)
    monkeypatch.setattr(aws_json, "PAUSE_S", 0.01)


def put(client):
    return client.put_item(TableName="t", Item={"pk": {"S": "a"}})


def test_what_is_asked_and_answered_are_dynamodbs_own_words():
    with serving(answers(200, {"Item": {"pk": {"S": "a"}, "sums": {"B": "AAE="}}})) as service:
        answer = service.client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert service.requests == [("DynamoDB_20120810.GetItem", {"TableName": "t", "Key": {"pk": {"S": "a"}}})]
    assert answer["Item"] == {"pk": {"S": "a"}, "sums": {"B": b"\x00\x01"}}


def test_binary_values_go_out_as_base64():
    with serving(WELL) as service:
        service.client.put_item(TableName="t", Item={"sums": {"B": b"\x00\x01"}})
    assert service.requests[0][1]["Item"] == {"sums": {"B": "AAE="}}


def test_one_connection_serves_one_call_after_the_other():
    with serving(WELL) as service:
        client = service.client
        for _ in range(5):
            put(client)
    assert len(service.connections) == 1


@pytest.mark.parametrize("fault", [resets, hangs_up])
def test_a_kept_connection_that_has_died_is_replaced_and_costs_no_try(fault):
    """As after a freeze; the try on the new connection and the one after it are still there."""
    with serving(WELL, fault, refuses("ThrottlingException"), WELL) as service:
        client = service.client
        put(client)
        put(client)
    assert len(service.requests) == 4


def test_kept_connections_that_have_died_in_silence_cost_one_try_and_no_more():
    """Several at once, behind a network that has forgotten them."""
    with serving(WELL, WELL, falls_silent, WELL) as service:
        client = service.client
        asking = service.access._asking["dynamodb"]
        first, second = asking._connection(), asking._connection()
        asking._kept.extend([first, second])
        put(client)
        asking._kept.append(asking._connection())
        put(client)
        put(client)
        assert len(asking._kept) == 1


@pytest.mark.parametrize(
    "fault",
    [
        resets,
        hangs_up,
        breaks_off,
        refuses("InternalServerError", 500),
        refuses("ServiceUnavailable", 503),
        *(refuses(code) for code in sorted(aws_json.THROTTLED)),
        answers(200, b"<html>"),
        answers(200, b"[]"),
        answers(200, {}, checksum="1"),
        answers(502, b"<html>"),
    ],
)
def test_what_may_pass_is_tried_once_more(fault):
    with serving(fault, WELL) as service:
        assert put(service.client) == {}
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("fault", "raised", "told"),
    [
        (resets, ConnectionClosedError, None),
        (breaks_off, HTTPClientError, None),
        (answers(200, b"<html>"), HTTPClientError, None),
        (answers(200, {}, checksum="1"), HTTPClientError, None),
        (falls_silent, ReadTimeoutError, None),
        (answers(502, b"<html>"), ClientError, "502"),
        (refuses("InternalServerError", 500), ClientError, "InternalServerError"),
        (refuses("ThrottlingException"), ClientError, "ThrottlingException"),
    ],
)
def test_what_does_not_pass_is_raised_after_two_tries_as_botocore_raises_it(fault, raised, told):
    with serving(fault) as service, pytest.raises(raised) as caught:
        put(service.client)
    assert len(service.requests) == 2
    if told:
        assert caught.value.response["Error"]["Code"] == told


def test_nobody_at_the_address_is_an_endpoint_that_cannot_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(EndpointConnectionError):
        put(aws_access.read({**KEY, "AWS_ENDPOINT_URL": url}).dynamodb())


def test_a_refusal_is_final_and_keeps_what_stood_in_the_way():
    with serving(answers(400, CONDITION_FAILED)) as service, pytest.raises(ClientError) as caught:
        put(service.client)
    assert len(service.requests) == 1
    assert caught.value.response["Error"] == {"Code": "ConditionalCheckFailedException", "Message": "no"}
    assert caught.value.response["Item"] == {"pk": {"S": "there"}, "sums": {"B": b"\x00\x01"}}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_transaction_that_is_tried_again_is_known_as_the_same():
    with serving(hangs_up, WELL, WELL) as service:
        client = service.client
        for _ in range(2):
            client.transact_write_items(TransactItems=[])
    first, again, another = (asked["ClientRequestToken"] for _, asked in service.requests)
    assert first == again != another


def test_many_threads_share_a_client_and_each_gets_its_own_answer():
    def echo(handler):
        answers(200, {"Item": service.requests[-1][1]["Key"]})(handler)

    found = {}
    turn = threading.Lock()
    with serving(echo) as service:
        client = service.client

        def ask(number):
            key = {"pk": {"N": str(number)}}
            with turn:  # the script answers what was asked last
                found[number] = client.get_item(TableName="t", Key=key)["Item"] == key

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(found.values())
    assert len(found) == 20


def test_parameter_store_is_asked_in_its_own_words():
    with serving(answers(200, {"Parameters": [], "InvalidParameters": ["/a"]})) as service:
        ssm = service.access.ssm()
        assert ssm.get_parameters(Names=["/a"], WithDecryption=True)["InvalidParameters"] == ["/a"]
    assert service.requests == [("AmazonSSM.GetParameters", {"Names": ["/a"], "WithDecryption": True})]


def test_without_any_access_key_the_error_says_so(monkeypatch):
    for name in KEY:
        monkeypatch.delenv(name, raising=False)
    with serving(WELL) as service, pytest.raises(BotoCoreError):
        put(aws_access.read({"AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": service.url}).dynamodb())
