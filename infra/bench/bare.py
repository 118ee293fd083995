"""What the router is compared with: the plainest pass-through of FastAPI and one httpx client, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

URL = os.environ["BENCH_PROVIDER_URL"]
SENT = {"content-type": "application/json", "authorization": "Bearer not-a-key"}

client = httpx.AsyncClient(
    timeout=60, limits=httpx.Limits(max_connections=None, max_keepalive_connections=64), trust_env=False
)
app = FastAPI()


@app.post("/v1/chat/completions")
async def complete(request: Request) -> Response:
    asked = await request.json()
    body = await request.body()
    if not asked.get("stream"):
        answer = await client.post(URL, content=body, headers=SENT)
        return Response(answer.content, answer.status_code, media_type="application/json")
    upstream = await client.send(client.build_request("POST", URL, content=body, headers=SENT), stream=True)

    async def passed_on() -> AsyncIterator[bytes]:
        try:
            async for chunk in upstream.aiter_bytes():
                yield chunk
        finally:
            await upstream.aclose()

    return StreamingResponse(passed_on(), upstream.status_code, media_type="text/event-stream")
