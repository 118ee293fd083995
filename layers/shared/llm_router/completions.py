"""Chat completions in OpenAI's format, which is what travels inside: what an answer holds, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from llm_router.usage import Cost, TokenUsage

CALLS = ("tool_calls", "function_call", "audio")
REASONING = ("reasoning_content", "reasoning")

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
"""What every client's `usage` has."""

CHUNK = "chat.completion.chunk"

Choice = Mapping[str, object]


def text(choice: Choice) -> str | None:
    """The answer's text; None where there is neither content nor a refusal."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # Mistral's reasoning models answer in parts
        return _joined(content)
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else None


def has_substance(choice: Choice, *, with_calls: bool) -> bool:
    """Whether there is an answer at all: text, a refusal, reasoning that used up all the tokens, or a call.

    A call counts only where the request offered something to call: to nobody else is it an answer.
    """
    if text(choice) is not None:
        return True
    message = choice.get("message")
    if not isinstance(message, dict):
        return False
    if with_calls and any(isinstance(message.get(name), list | dict) and message[name] for name in CALLS):
        return True
    thought = any(isinstance(message.get(name), str) and message[name] for name in REASONING)
    return choice.get("finish_reason") == "length" and thought


def size_bytes(completion: Mapping[str, object]) -> int:
    """Bytes of all that the model has written, in every choice."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts(completion))


def texts(completion: Mapping[str, object]) -> Iterator[str]:
    """All that the model has written, in every choice."""
    choices = completion.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        yield from _texts(choice.get("message") if isinstance(choice, dict) else None)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("role", "id", "type"):
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def usage(tokens: TokenUsage | None, cost: Cost, reported: object) -> dict[str, object]:
    """The `usage` that a caller sees: the provider's own report where there is one, and what the request cost."""
    told: dict[str, object] = dict(reported) if isinstance(reported, dict) else {}
    counted = (tokens.prompt, tokens.completion, tokens.total) if tokens else ()
    for name, count in zip(COUNTS, counted, strict=False):
        if told.get(name) is None:
            told[name] = count
    usd: Decimal | None = cost.usd
    return {**told, "cost": usd, "cost_basis": cost.basis.value}


def as_chunks(completion: Mapping[str, object]) -> list[dict[str, object]]:
    """A whole completion as the chunks of a stream: for each choice all that it says, then why it ended."""
    frame = {name: value for name, value in completion.items() if name not in ("choices", "usage", "object")}
    choices = completion.get("choices")
    chunks: list[dict[str, object]] = []
    for choice in choices if isinstance(choices, list) else []:
        message = dict(choice["message"])
        if isinstance(message.get("tool_calls"), list):
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
        said = {"index": choice.get("index", 0), "logprobs": choice.get("logprobs")}
        chunks += [
            {**frame, "object": CHUNK, "choices": [{**said, "delta": message, "finish_reason": None}]},
            {
                **frame,
                "object": CHUNK,
                "choices": [{**said, "logprobs": None, "delta": {}, "finish_reason": choice["finish_reason"]}],
            },
        ]
    return chunks


def _joined(parts: list[object]) -> str | None:
    """The texts among the parts; None where there are none, or one is no text."""
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    strings = [found for found in texts if isinstance(found, str)]
    return "".join(strings) if strings and len(strings) == len(texts) else None
