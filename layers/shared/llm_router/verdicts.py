"""Which one error reaches a caller whose request no candidate could serve. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from llm_router.candidates import Feature
from llm_router.errors import (
    AllProvidersFailedError,
    ContentFilterError,
    ContextLengthError,
    DeadlineExceededError,
    NoProviderAvailableError,
    RefusedRequestError,
    RequestError,
    StreamBrokenError,
)
from llm_router.health import rate_limit_s
from llm_router.routing import THE_REQUESTS_OWN, Excluded, Exclusion, Plan
from llm_router.usage import Attempt, Outcome


def error(
    plan: Plan, attempts: Sequence[Attempt], *, now: datetime, in_time: bool, held_in: str = "prompt"
) -> RequestError:
    """`attempts` are all that failed; `in_time` says that the deadline would have allowed another. `held_in` is the
    field that holds the prompt.
    """
    if not attempts:
        return _no_time_at_all() if plan.places and not in_time else _nothing_able(plan.excluded, now, held_in)
    asked = [attempt for attempt in attempts if attempt.outcome not in (Outcome.UNSENT, Outcome.STREAM_REFUSED)]
    suited = [attempt for attempt in asked if attempt.outcome is not Outcome.UNSUITED]
    if asked and not suited:
        param = asked[0].param
        return RefusedRequestError("No provider that was asked can serve this request as it is.", param=param)
    if said := _said_of_the_request(suited, held_in):
        return said
    if suited and all(attempt.outcome is Outcome.RATE_LIMITED for attempt in suited):
        return _rate_limited(plan.excluded, suited, now)
    if not in_time:
        return _too_late()
    return AllProvidersFailedError("Every provider that could serve this request failed.")


def broken(attempt: Attempt, *, in_time: bool) -> RequestError:
    """For a caller who has seen the beginning of this attempt's answer."""
    if attempt.outcome is Outcome.CONTENT_FILTER:
        return ContentFilterError("The provider's content filter ended this answer in the middle.")
    if attempt.outcome in (Outcome.TIMEOUT, Outcome.OUT_OF_TIME) and not in_time:
        return DeadlineExceededError("The answer was not whole by the request's deadline: raise the route's timeout_s.")
    if attempt.outcome is Outcome.UNSUITED and attempt.param:
        return StreamBrokenError(f"The provider's answer is not what {attempt.param} asks for.", param=attempt.param)
    return StreamBrokenError("The provider broke off in the middle of its answer.")


def _said_of_the_request(attempts: Sequence[Attempt], held_in: str) -> RequestError | None:
    """What the providers found wrong with the request itself."""
    by_outcome = {attempt.outcome: attempt for attempt in reversed(attempts)}
    if Outcome.CONTENT_FILTER in by_outcome:
        return ContentFilterError("The provider's content filter refused this request.")
    if by_outcome.keys() == {Outcome.CONTEXT_LENGTH}:
        return _too_long((), held_in)
    refusals = sum(attempt.outcome is Outcome.BAD_REQUEST for attempt in attempts)
    if (refused := by_outcome.get(Outcome.BAD_REQUEST)) and refusals in (2, len(attempts)):
        return RefusedRequestError("The providers call this request invalid.", param=refused.param)
    return None


def _rate_limited(excluded: Sequence[Excluded], attempts: Sequence[Attempt], now: datetime) -> RequestError:
    """Whoever is told when to come again can wait; a failure for good would end the clients' own tries."""
    waits_s = [(item.open_until - now).total_seconds() for item in excluded if item.open_until]
    waits_s += [rate_limit_s(attempt.retry_after_s) for attempt in attempts]
    wait_s = max(1, math.ceil(min(waits_s)))
    return NoProviderAvailableError(
        "Every provider that could serve this request is limiting us.", retry_after_s=wait_s
    )


def _nothing_able(excluded: Sequence[Excluded], now: datetime, held_in: str) -> RequestError:
    """Why no candidate was able, told so that the reader knows what to do."""
    reasons = {item.exclusion for item in excluded} - {Exclusion.NO_KEY}
    if reasons == {Exclusion.CONTEXT_WINDOW}:
        return _too_long(excluded, held_in)
    if reasons and reasons <= THE_REQUESTS_OWN:
        return _unservable(excluded)
    soonest = min((item.open_until for item in excluded if item.open_until), default=None)
    wait_s = max(1, math.ceil((soonest - now).total_seconds())) if soonest else None
    told = ", ".join(f"{item.candidate.name}: {item.exclusion.value}" for item in excluded)
    return NoProviderAvailableError(f"No provider can serve this request now ({told}).", retry_after_s=wait_s)


def _unservable(excluded: Sequence[Excluded]) -> RequestError:
    lacking = sorted({str(name) for item in excluded for name in item.lacking})
    if lacking:
        param = next((name for name in lacking if name not in list(Feature)), None)
        return RefusedRequestError(f"No model that may serve this request can do: {', '.join(lacking)}.", param=param)
    told = ", ".join(f"{item.candidate.name}: {item.exclusion.value}" for item in excluded)
    return RefusedRequestError(f"What the request asks for leaves no candidate ({told}).", param="provider")


def _too_long(excluded: Sequence[Excluded], held_in: str) -> RequestError:
    windows = [item.candidate.context_window for item in excluded if item.candidate.context_window]
    most = f" (at most {max(windows):,} tokens)" if windows else ""
    return ContextLengthError(
        f"The prompt is too long for every model that could serve it{most}. Shorten it, or send it with "
        "optimize: trim to have it trimmed.",
        param=held_in,
    )


def _no_time_at_all() -> RequestError:
    return DeadlineExceededError("No time was left to ask a provider.")


def _too_late() -> RequestError:
    return DeadlineExceededError(
        "No provider answered before the deadline. For answers that take long, use the streaming door "
        "/v1/chat/completions, or raise the route's timeout_s."
    )
