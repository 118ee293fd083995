"""What the one seam to the providers makes of connections that fail, each tried on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import ssl
import threading
import tracemalloc
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llm_router.transport import RESPONSE_BYTES_AT_MOST, Progress, Transport, TransportError
from llm_router.upstream import UpstreamRequest, UpstreamResponse
from llm_router.usage import Outcome

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@contextmanager
def peer(*behaviours, context=None):
    """A server whose n-th connection behaves as the n-th function says; yields its port and what it received."""
    received = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for behave in behaviours:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                if context:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    behave(connection, received)
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], received
    finally:
        listener.close()
        thread.join(5)


def read_request(connection, received):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65536)
    received.append(body)


def replies(*parts, then=None):
    def behave(connection, received):
        for part in parts:
            read_request(connection, received)
            connection.sendall(part)
        if then:
            then(connection)

    return behave


def resets(connection, _):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def falls_silent(connection, received):
    read_request(connection, received)
    connection.recv(1)


async def _acknowledge():
    pass


def send(port, *, limit_s=2.0, times=1, scheme="http", before_body=_acknowledge, ca_file=None):
    """The last response, or the error, of `times` requests through one transport."""

    async def once(transport):
        request = UpstreamRequest(f"{scheme}://127.0.0.1:{port}/", {"content-type": "application/json"}, b'{"a": 1}')
        progress = Progress()
        try:
            async with (
                asyncio.timeout(limit_s),
                transport.open(request, before_body=before_body, progress=progress) as response,
            ):
                body = b"".join([chunk async for chunk in response.chunks()])
                return UpstreamResponse(response.status, response.headers, body)
        except TimeoutError as error:
            raise TransportError(Outcome.TIMEOUT, may_be_billed=progress.sent_body) from error

    async def run():
        transport = Transport(ca_file=ca_file)
        try:
            for _ in range(times - 1):
                await once(transport)
            return await once(transport)
        finally:
            await transport.close()

    return asyncio.run(run())


def fails_as(port, **arguments):
    with pytest.raises(TransportError) as caught:
        send(port, **arguments)
    return caught.value.outcome, caught.value.may_be_billed


def test_a_whole_response_comes_back():
    with peer(replies(OK)) as (port, received):
        response = send(port)
    assert (response.status, response.body) == (200, b"{}")
    assert received == [b'{"a": 1}']


def test_nobody_listening_is_unreachable_and_costs_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert fails_as(port) == (Outcome.UNREACHABLE, False)


def test_a_new_connection_that_is_reset_is_unreachable():
    with peer(resets) as (port, _):
        assert fails_as(port) == (Outcome.UNREACHABLE, False)


def test_a_kept_connection_that_the_provider_has_closed_is_lost_and_no_fault_of_the_provider():
    with peer(replies(OK, then=lambda c: c.recv(0)), resets) as (port, _):
        outcome, billed = fails_as(port, times=2)
    assert outcome in (Outcome.CONNECTION_LOST, Outcome.UNREACHABLE)
    assert not billed


def test_a_kept_connection_that_breaks_at_its_second_request_is_lost():
    def one_then_close(connection, received):
        replies(OK)(connection, received)
        read_request(connection, received)

    with peer(one_then_close) as (port, _):
        assert fails_as(port, times=2) == (Outcome.CONNECTION_LOST, False)


def test_silence_is_a_timeout_and_may_be_billed():
    with peer(falls_silent) as (port, _):
        assert fails_as(port, limit_s=0.3) == (Outcome.TIMEOUT, True)


def test_a_slow_drip_ends_at_the_limit():
    def drips(connection, received):
        read_request(connection, received)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        stop = threading.Event()
        while not stop.wait(0.05):
            connection.sendall(b" ")

    with peer(drips) as (port, _):
        assert fails_as(port, limit_s=0.4) == (Outcome.TIMEOUT, True)


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
    ids=["length", "chunk", "no last chunk"],
)
def test_an_answer_that_ends_early_is_cut_and_may_be_billed(cut):
    with peer(replies(cut)) as (port, _):
        assert fails_as(port) == (Outcome.CUT, True)


def test_gzip_that_is_garbage_is_cut():
    garbage = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"
    with peer(replies(garbage)) as (port, _):
        assert fails_as(port) == (Outcome.CUT, True)


def test_no_compression_is_asked_for():
    heads = []

    def listens(connection, _):
        heads.append(connection.recv(65536))
        connection.sendall(OK)

    with peer(listens) as (port, _):
        send(port)
    assert b"accept-encoding: identity\r\n" in heads[0].lower()


def zeros(megabytes):
    """As gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join([packer.compress(bytes(1_000_000)) for _ in range(megabytes)]) + packer.flush()


def test_a_little_gzip_that_holds_a_lot_is_given_up_at_the_limit():
    """Not after all that was read is inflated."""
    bomb = zeros(megabytes=200)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n".encode()
    with peer(replies(head + bomb)) as (port, _):
        tracemalloc.start()
        try:
            assert fails_as(port) == (Outcome.MALFORMED, True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 3 * RESPONSE_BYTES_AT_MOST


def test_what_comes_compressed_unasked_is_understood():
    body = gzip.compress(b"{}")
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with peer(replies(head + body)) as (port, _):
        assert send(port).body == b"{}"


def test_an_answer_beyond_the_limit_is_not_read_to_its_end():
    def floods(connection, received):
        read_request(connection, received)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with peer(floods) as (port, _):
        assert fails_as(port, limit_s=10) == (Outcome.MALFORMED, True)
    assert RESPONSE_BYTES_AT_MOST < 10_000_000


def test_a_redirect_is_not_followed():
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    with peer(replies(moved)) as (port, _):
        assert send(port).status == 307


def test_the_body_waits_for_the_acknowledgement():
    """The provider sees no byte of the body while the ledger has not answered."""
    seen = []
    with peer(replies(OK)) as (port, received):

        async def acknowledged():
            await asyncio.sleep(0.2)
            seen.append(list(received))

        send(port, before_body=acknowledged)
    assert seen == [[]]
    assert received == [b'{"a": 1}']


_SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 signed by itself, and a server context that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_SIGNS, critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return str(certificate_file), context


def test_a_provider_is_called_over_https(certificate):
    ca_file, context = certificate
    with peer(replies(OK), context=context) as (port, received):
        assert send(port, scheme="https", ca_file=ca_file).status == 200
    assert received == [b'{"a": 1}']


def test_a_certificate_that_nobody_vouches_for_gets_no_prompt(certificate):
    _, context = certificate
    with peer(replies(OK), context=context) as (port, received):
        assert fails_as(port, scheme="https") == (Outcome.UNREACHABLE, False)
    assert received == []
