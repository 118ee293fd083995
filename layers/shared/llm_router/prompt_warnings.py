"""What a caller, and whoever looks at the page, is told of what was done to a prompt. Pure."""

from __future__ import annotations

from decimal import Decimal

from llm_router.usage import TrimKind, Trimming

Told = dict[str, object]

_KINDS = {TrimKind.SAFE: "prompt_cleaned", TrimKind.TRIM: "prompt_trimmed", TrimKind.KEPT: "prompt_kept"}


def warnings(trimming: Trimming | None) -> list[Told]:
    """None or one: tokens before and after, what was left out, what that saved, in words and as numbers."""
    if trimming is None:
        return []
    return [
        {
            "kind": _KINDS[trimming.kind],
            "message": _message(trimming),
            "tokensBefore": trimming.before,
            "tokensAfter": trimming.after,
            "tokensBasis": "estimated" if trimming.is_estimated else "counted",
            "tokensLimit": trimming.limit,
            "messagesRemoved": trimming.messages_gone,
            "passagesRemoved": trimming.passages_gone,
            "savedUsd": trimming.saved_usd,
        }
    ]


def _message(trimming: Trimming) -> str:
    basis = " (estimated)" if trimming.is_estimated else ""
    before, after, limit = f"{trimming.before:,}", f"{trimming.after:,}{basis}", f"{trimming.limit or 0:,}"
    if trimming.kind is TrimKind.KEPT:
        return (
            f"The prompt was left as it is, {after} tokens, over the limit of {limit}: its beginning, read from the "
            "provider's cache, is expected to cost less than a trimmed prompt."
        )
    if trimming.kind is TrimKind.SAFE:
        return f"Blanks and repetitions were taken out of the prompt: {before} tokens became {after}.{_saved(trimming)}"
    return (
        f"The prompt was trimmed from {before} to {after} tokens, to be within {limit}. "
        f"Left out: {_removed(trimming)}.{_saved(trimming)}"
    )


def _removed(trimming: Trimming) -> str:
    counts = [(trimming.messages_gone, "message"), (trimming.passages_gone, "passage")]
    told = [f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    return " and ".join(told) or "blanks and repetitions"


def _saved(trimming: Trimming) -> str:
    if trimming.saved_usd is None or trimming.usd_per_mtok is None:
        return ""
    return f" That saved {_plain(trimming.saved_usd)} USD, at {_plain(trimming.usd_per_mtok)} per million tokens."


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
