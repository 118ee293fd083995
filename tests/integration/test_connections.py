"""Which connection to a provider is used again, and which is not, on real sockets."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import httpcore
import pytest

from llm_router import connections
from llm_router.connections import Connections

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Provider:
    """Answers each request with the same bytes; `open` are the connections that it holds."""

    def __init__(self, answer=WHOLE, *, hangs_up=False):
        self.answer = answer
        self.hangs_up = hangs_up
        self.open = set()
        self.changed = asyncio.Condition()

    async def serve(self, reader, writer):
        name = writer.get_extra_info("peername")
        self.open.add(name)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(self.answer)
                await writer.drain()
                if self.hangs_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open.discard(name)
            async with self.changed:
                self.changed.notify_all()

    async def holds(self, count):
        """Waits for it; a test that waits in vain is ended by its time limit."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.open) == count)


@asynccontextmanager
async def served(provider):
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kept = Connections(ssl.create_default_context())
    try:
        yield kept, httpcore.URL(f"http://127.0.0.1:{port}/")
    finally:
        await kept.close()
        server.close()


async def asked(kept, url, *, fresh=False):
    lease, is_new = await kept.lease(url.origin, fresh=fresh)
    request = httpcore.Request("POST", url, headers={"host": "provider", "content-length": "0"})
    return lease, is_new, await lease.send(request)


async def read_out(kept, url, *, fresh=False):
    """Whether it took a new connection."""
    lease, is_new, response = await asked(kept, url, fresh=fresh)
    await response.aread()
    await lease.give_back()
    return is_new


def test_a_connection_is_used_again_unless_a_new_one_is_wished_for():
    async def scenario():
        async with served(Provider()) as (kept, url):
            return [await read_out(kept, url), await read_out(kept, url), await read_out(kept, url, fresh=True)]

    assert asyncio.run(scenario()) == [True, False, True]


def test_one_that_the_provider_has_closed_is_not_used_again():
    async def scenario():
        provider = Provider(hangs_up=True)
        async with served(provider) as (kept, url):
            first = await read_out(kept, url)
            await provider.holds(0)
            await asyncio.sleep(0.05)  # its farewell is on the way
            return [first, await read_out(kept, url)]

    assert asyncio.run(scenario()) == [True, True]


def test_one_whose_answer_was_left_unread_is_closed():
    async def scenario():
        provider = Provider(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")
        async with served(provider) as (kept, url):
            lease, _, _ = await asked(kept, url)
            await lease.give_back()
            await provider.holds(0)
            return (await kept.lease(url.origin, fresh=False))[1]

    assert asyncio.run(scenario())


@pytest.mark.parametrize("more", [WHOLE, b"HTTP/1.1 500", b" "])
def test_one_on_which_something_follows_the_answer_is_closed(more):
    """It would be read as the answer to whoever asks next."""

    async def scenario():
        provider = Provider(WHOLE + more)
        async with served(provider) as (kept, url):
            await read_out(kept, url)
            await provider.holds(0)
            return await read_out(kept, url)

    assert asyncio.run(scenario())


def test_no_more_are_kept_than_the_bound(monkeypatch):
    monkeypatch.setattr(connections, "KEPT_AT_MOST", 2)

    async def scenario():
        provider = Provider()
        async with served(provider) as (kept, url):
            under_way = [await asked(kept, url) for _ in range(5)]
            assert len(provider.open) == 5
            for lease, _, response in under_way:
                await response.aread()
                await lease.give_back()
            await provider.holds(2)

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [1, 3])
def test_those_left_idle_too_long_are_closed_one_by_one_as_others_come_back(monkeypatch, count):
    monkeypatch.setattr(connections, "KEPT_FOR_S", 0.0)

    async def scenario():
        provider = Provider()
        async with served(provider) as (kept, url):
            for _ in range(count):
                await read_out(kept, url)
            await provider.holds(0)

    asyncio.run(scenario())
