"""What tokens cost, in USD as exact decimals. Pure arithmetic over prices, token counts and the time of the request.

The formulas are those of `genai-prices`, against which a test holds every row of the catalogue: a request whose prompt
is longer than a tier's limit pays that tier's rate for each of its tokens, and a kind of token that has no rate costs
what the kind does of which it is a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from llm_router.candidates import Candidate, Change, Price, Rates, Schedule, Sheet
from llm_router.usage import Cost, CostBasis, TokenUsage

MILLION = Decimal(1_000_000)

STANDARD_SERVICE = frozenset({None, "default", "standard", "on_demand"})
"""Names of the service that the price without a name is for: OpenAI's, Gemini's, Groq's, and no word at all."""

EITHER_SERVICE = frozenset({None, "auto"})
"""What a request says that leaves the service to the account's settings."""

_INPUT_RATES = ("input", "cached_input", "cache_write", "cache_write_1h")
_OUTPUT_RATES = ("output", "reasoning")
_AUDIO_INPUT_RATES = ("audio_input", "cached_audio_input")
_AUDIO_OUTPUT_RATES = ("audio_output",)


def usd(tokens: TokenUsage, price: Price, *, at: datetime) -> Decimal:
    """Each kind of token times its rate at that time and for that length of prompt, / 1,000,000."""
    return _usd(tokens, rates_of(_sheet(_standard(price), at), tokens.prompt))


def cost(
    tokens: TokenUsage, price: Price | None, *, at: datetime, basis: CostBasis, service_tier: str | None = None
) -> Cost:
    """The labelled cost: unknown where the price of that service is, else on the basis of the token counts."""
    schedule = None if price is None else schedule_of(price, service_tier)
    if schedule is None:
        return Cost(None, CostBasis.UNKNOWN)
    return Cost(_usd(tokens, rates_of(_sheet(schedule, at), tokens.prompt)), basis)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request lets an attempt use at most: a prompt of so many bytes and so many answers within the cap.

    `service_tier` is what the request says of it; `with_audio` whether audio goes either way.
    """

    prompt_bytes: int
    output_cap: int | None
    choices: int = 1
    service_tier: str | None = None
    with_audio: bool = False


def upper_usd(candidate: Candidate, bounds: Bounds) -> Decimal | None:
    """The most that an attempt can cost: a prompt has no more tokens than bytes, an answer none past its cap.

    Each token counts at the dearest rate of its side, in any tier that the prompt may reach and at any time; those of
    audio only where the request has to do with it. None where the price is unknown or nothing caps the answer.
    """
    caps = [
        cap for cap in (bounds.output_cap, candidate.max_output_tokens, candidate.context_window) if cap is not None
    ]
    if candidate.price is None or not caps:
        return None
    schedules = list(_possible(candidate.price, bounds.service_tier))
    if not schedules:
        return None
    possible = [rates for schedule in schedules for rates in _all_rates(schedule, bounds.prompt_bytes)]
    dearest_input = _dearest(possible, _INPUT_RATES + (_AUDIO_INPUT_RATES if bounds.with_audio else ()))
    dearest_output = _dearest(possible, _OUTPUT_RATES + (_AUDIO_OUTPUT_RATES if bounds.with_audio else ()))
    return (bounds.prompt_bytes * dearest_input + min(caps) * bounds.choices * dearest_output) / MILLION


def rates_now(price: Price, *, at: datetime) -> Rates:
    """The rates that a short prompt pays at that time."""
    return _sheet(_standard(price), at).rates


def rates_at(price: Price, *, prompt_tokens: int, at: datetime) -> Rates:
    """The rates that a prompt of that length pays at that time."""
    return rates_of(_sheet(_standard(price), at), prompt_tokens)


def schedule_of(price: Price, service_tier: str | None) -> Schedule | None:
    """The prices of that service; None where they are not known."""
    found = price.service_tiers.get(service_tier) if service_tier is not None else None
    return found or (_standard(price) if service_tier in STANDARD_SERVICE else None)


def rates_of(sheet: Sheet, prompt_tokens: int) -> Rates:
    """Those of the highest tier that the prompt is too long for to stay below."""
    return next((tier.rates for tier in reversed(sheet.tiers) if prompt_tokens > tier.above), sheet.rates)


def _usd(tokens: TokenUsage, rates: Rates) -> Decimal:
    """Counts that contradict each other can make no part of the sum negative."""
    cached_audio = min(tokens.cached_audio_prompt, tokens.cached_prompt, tokens.audio_prompt, tokens.prompt)
    cached = min(tokens.cached_prompt, tokens.prompt)
    audio = min(tokens.audio_prompt, tokens.prompt - cached + cached_audio)
    written = min(tokens.cache_write, tokens.prompt - cached - audio + cached_audio)
    written_1h = min(tokens.cache_write_1h, written)
    spoken = min(tokens.audio_completion, tokens.completion)
    reasoned = min(tokens.reasoning, tokens.completion - spoken)
    cached_rate = _or(rates.cached_input, rates.input)
    audio_rate = _or(rates.audio_input, rates.input)
    write_rate = _or(rates.cache_write, rates.input)
    sums = (
        (tokens.prompt - cached - written - audio + cached_audio) * rates.input,
        (cached - cached_audio) * cached_rate,
        (audio - cached_audio) * audio_rate,
        cached_audio * _or(rates.cached_audio_input, cached_rate if rates.audio_input is None else audio_rate),
        (written - written_1h) * write_rate,
        written_1h * _or(rates.cache_write_1h, write_rate),
        (tokens.completion - reasoned - spoken) * rates.output,
        reasoned * _or(rates.reasoning, rates.output),
        spoken * _or(rates.audio_output, rates.output),
    )
    return sum(sums, Decimal(0)) / MILLION


def _or(rate: Decimal | None, whole: Decimal) -> Decimal:
    return whole if rate is None else rate


def _standard(price: Price) -> Schedule:
    return Schedule(Sheet(price, price.tiers), price.changes)


def _sheet(schedule: Schedule, at: datetime) -> Sheet:
    moment = at.astimezone(UTC)
    return next((change.sheet for change in reversed(schedule.changes) if _holds(change, moment)), schedule.sheet)


def _holds(change: Change, moment: datetime) -> bool:
    if change.from_day is not None and moment.date() < change.from_day:
        return False
    if change.from_time is None or change.until is None:
        return True
    clock = moment.time()
    if change.until < change.from_time:
        return clock >= change.from_time or clock < change.until
    return change.from_time <= clock < change.until


def _possible(price: Price, service_tier: str | None) -> Iterable[Schedule]:
    """All that may be charged where the account's settings decide, the named one where it is known to have a price."""
    if service_tier in EITHER_SERVICE:
        return (_standard(price), *price.service_tiers.values())
    found = schedule_of(price, service_tier)
    return () if found is None else (found, _standard(price))


def _all_rates(schedule: Schedule, prompt_tokens: int) -> Iterator[Rates]:
    for sheet in (schedule.sheet, *(change.sheet for change in schedule.changes)):
        yield sheet.rates
        yield from (tier.rates for tier in sheet.tiers if prompt_tokens > tier.above)


def _dearest(possible: Iterable[Rates], names: tuple[str, ...]) -> Decimal:
    found: Iterable[Decimal | None] = (getattr(rates, name) for rates in possible for name in names)
    return max(rate for rate in found if rate is not None)
