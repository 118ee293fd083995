"""The step between a request and its plan: counts the prompt where that could matter, and makes it fit where it may.

Counting and cutting are work for the processor: both happen in a thread, so that the event loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aws_lambda_powertools import Logger

from llm_router import cancellation, completions, fitting_limits, outlines, prompt_sizes
from llm_router.candidates import Feature, Optimize, Route
from llm_router.errors import PromptTooLongError
from llm_router.fitting_limits import Limit
from llm_router.outlines import Fate
from llm_router.prompt_sizes import Count
from llm_router.prompts import Json, Prompt, estimated_tokens
from llm_router.routing import Surroundings
from llm_router.tokens import Tokenizer, VocabularyMissingError
from llm_router.upstream import Reading
from llm_router.usage import Outcome, TokenUsage, TrimKind, Trimming

COUNTED_WITHIN_S = 2.0
"""How long an answer may wait for its tokens to be counted where its provider has not done it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The prompt as it is sent, and what was done to it, message by message where something was."""

    prompt: Prompt
    trimming: Trimming | None = None
    fates: tuple[Fate, ...] = ()
    sources: tuple[int, ...] = ()

    def outline(self, before: Sequence[Json]) -> list[Json]:
        """What became of the messages that came in."""
        places = range(len(before))
        fates = self.fates or tuple(Fate.WHOLE for _ in places)
        return outlines.rows(before, self.prompt.messages, fates=fates, sources=self.sources or places)

    @property
    def own_count(self) -> int | None:
        """None where images, sounds or files are in the prompt, of which nobody tells how they are counted."""
        is_text = self.prompt.is_bounded and not self.prompt.needs & {Feature.IMAGES, Feature.AUDIO}
        return self.prompt.counted_tokens if is_text else None


@dataclass(frozen=True, slots=True)
class Fitter:
    tokenizer: Tokenizer
    logger: Logger

    async def fitted(self, prompt: Prompt, route: Route, surroundings: Surroundings) -> Fitted:
        """What bytes show to fit costs nothing, unless it is to be cleaned. Raises PromptTooLongError."""
        mode = prompt.optimize or route.optimize
        is_large = prompt.countable_bytes > fitting_limits.tokens_that_may_matter(route, mode, surroundings)
        if not is_large and mode is not Optimize.SAFE:
            return Fitted(prompt)
        return await asyncio.to_thread(self._fitted, prompt, route, surroundings, is_large=is_large)

    async def counted(self, reading: Reading, prompt: Prompt, *, within_s: float) -> Reading:
        """An answer whose provider reports no tokens, with the router's own count of them; also for a caller who has
        gone meanwhile, for it was paid for.
        """
        if reading.tokens is not None or reading.outcome is not Outcome.SUCCESS:
            return reading
        counting = asyncio.wait_for(
            asyncio.to_thread(self._usage, reading, prompt), max(0.0, min(within_s, COUNTED_WITHIN_S))
        )
        try:
            return replace(reading, counted=await cancellation.to_its_end(counting))
        except (TimeoutError, VocabularyMissingError):
            return reading
        except Exception:  # the answer is whole and paid for, and a count of our own is not worth it
            self.logger.exception("tokens not counted", event="tokens_uncounted")
            return reading

    def _usage(self, reading: Reading, prompt: Prompt) -> TokenUsage:
        count = self.tokenizer.count
        counted = prompt.counted_tokens
        completion = sum(map(count, completions.texts(reading.completion)))
        return TokenUsage(prompt_sizes.prompt_tokens(prompt, count) if counted is None else counted, completion)

    def _fitted(self, prompt: Prompt, route: Route, surroundings: Surroundings, *, is_large: bool) -> Fitted:
        count, is_estimated = self._count(is_large=is_large)
        tokens = prompt_sizes.prompt_tokens(prompt, count)
        known = prompt if is_estimated else replace(prompt, counted_tokens=tokens)
        mode = prompt.optimize or route.optimize
        if mode is Optimize.OFF:
            return Fitted(known)
        if mode is Optimize.SAFE:
            return _cleaned(known, tokens, count)
        limit = fitting_limits.limit(known, route, surroundings)
        if limit is None or tokens <= limit.tokens:
            return Fitted(known)
        if fitting_limits.is_cheaper_kept(known, limit, count):
            kept = Trimming(TrimKind.KEPT, tokens, tokens, limit=limit.tokens, is_estimated=is_estimated)
            return Fitted(known, kept)
        return _trimmed(known, limit, tokens, count)

    def _count(self, *, is_large: bool) -> tuple[Count, bool]:
        """Remembers what it has counted. By bytes where that is enough, or where there is no vocabulary."""
        count: Count = self.tokenizer.count
        is_estimated = not is_large
        if is_large:
            try:
                count("")
            except VocabularyMissingError:
                is_estimated = True
        if is_estimated:
            count = _by_bytes
        known: dict[str, int] = {}

        def remembering(text: str) -> int:
            found = known.get(text)
            if found is None:
                found = known[text] = count(text)
            return found

        return remembering, is_estimated


def _cleaned(prompt: Prompt, before: int, count: Count) -> Fitted:
    from llm_router import optimization  # noqa: PLC0415  # most processes never trim, and each cold start would pay

    messages = optimization.safe(prompt.messages)
    fates = tuple(
        Fate.WHOLE if old == new else Fate.CLEANED for old, new in zip(prompt.messages, messages, strict=True)
    )
    changed = replace(prompt, messages=messages)
    after = prompt_sizes.prompt_tokens(changed, count)
    is_estimated = prompt.counted_tokens is None
    sent = changed if is_estimated else replace(changed, counted_tokens=after)
    if after >= before:
        return Fitted(sent, fates=fates)
    return Fitted(sent, Trimming(TrimKind.SAFE, before, after, is_estimated=is_estimated), fates)


def _trimmed(prompt: Prompt, limit: Limit, before: int, count: Count) -> Fitted:
    from llm_router import optimization  # noqa: PLC0415  # as above

    beside = prompt_sizes.beside_messages(prompt, count)
    found = optimization.trim(prompt.messages, limit=limit.tokens - beside, count=count)
    if found is None:
        raise PromptTooLongError(limit.refusal(before), param=prompt.held_in)
    is_estimated = prompt.counted_tokens is None
    after = found.tokens + beside
    sent = replace(prompt, messages=found.messages, counted_tokens=None if is_estimated else after)
    trimming = Trimming(
        TrimKind.TRIM,
        before,
        after,
        messages_gone=found.messages_gone,
        passages_gone=found.passages_gone,
        limit=limit.tokens,
        is_estimated=is_estimated,
    )
    return Fitted(sent, trimming, found.fates, found.sources)


def _by_bytes(text: str) -> int:
    return estimated_tokens(len(text.encode("utf-8", "surrogatepass"))) if text else 0
