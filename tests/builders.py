"""Values of the domain with everything filled in, so that a test names only what it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import strategies as st

from llm_router import positions
from llm_router.candidates import Auth, AuthKind, Candidate, Price, Provider, Route
from llm_router.prompts import Prompt, message
from llm_router.usage import (
    NOTHING,
    Attempt,
    Cost,
    CostBasis,
    Outcome,
    RecordState,
    TokenUsage,
    TrimKind,
    Trimming,
    Trying,
    UsageRecord,
)

VOCABULARY_DIR = Path(__file__).parents[1] / "layers" / "vocabulary" / "vocabulary"
NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
BEARER = Auth(AuthKind.BEARER)
KEYLESS = Auth(AuthKind.NONE)


def price(input_usd="0.05", output_usd="0.08", cached_usd=None):
    """USD per million tokens."""
    cached = None if cached_usd is None else Decimal(cached_usd)
    return Price(Decimal(input_usd), Decimal(output_usd), cached)


def provider(name="groq", **changes):
    base = Provider(name=name, base_url=f"https://{name}.example.com/v1", auth=BEARER, timeout_s=60.0)
    return replace(base, **changes)


CHEAP = price()


def candidate(name="groq/llama", *, usd=CHEAP, auth=BEARER, timeout_s=60.0, **changes):
    """`name` is provider/model; `usd` its price, None where that is unknown."""
    host, _, model = name.partition("/")
    return Candidate(provider=provider(host, auth=auth, timeout_s=timeout_s), model=model, price=usd, **changes)


def route(*candidates, **changes):
    return Route(name="auto", candidates=candidates or (candidate(),), **changes)


def prompt(text="Hello", **changes):
    return Prompt(messages=(message("user", text),), **changes)


def usd(amount="0.000045", basis=CostBasis.EXACT):
    return Cost(Decimal(amount), basis)


UNKNOWN_COST = Cost(None, CostBasis.UNKNOWN)


def attempt(name="groq/llama", outcome=Outcome.SUCCESS, **changes):
    """A success has tokens and a cost, a failure none, unless said otherwise."""
    host, _, model = name.partition("/")
    made = Attempt(provider=host, model=model, outcome=outcome, latency_ms=120, cost=NOTHING)
    if outcome is Outcome.SUCCESS:
        made = replace(made, cost=usd(), tokens=TokenUsage(prompt=10, completion=5))
    return replace(made, **changes)


def record(*attempts, at=NOW, **changes):
    """A settled record of these attempts; of one success where none are given."""
    tried = attempts or (attempt(),)
    position = positions.position(at, shard=1, random_bits=7)
    base = UsageRecord(
        position=position,
        request_id=position,
        state=RecordState.SETTLED,
        route="auto",
        key_id="anyone",
        opened_at=at,
        deadline_at=at + timedelta(seconds=28),
        attempts=tried,
        error=None if tried[-1].outcome is Outcome.SUCCESS else "all_providers_failed",
        latency_ms=sum(one.latency_ms for one in tried),
        settled_at=at + timedelta(seconds=1),
    )
    return replace(base, **changes)


# What may stand in a ledger, for properties.

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is given beside
CANDIDATE_NAMES = st.sampled_from(["groq/llama", "openai/gpt", "openai/gpt-mini", "ollama/library/qwen:7b"])
AMOUNTS = st.integers(0, 10**15).map(lambda number: Decimal(number).scaleb(-12))
TOKENS = st.builds(
    TokenUsage, prompt=st.integers(0, 10**7), completion=st.integers(0, 10**6), cached_prompt=st.integers(0, 10**6)
)
COSTS = st.one_of(
    st.just(UNKNOWN_COST), st.builds(Cost, AMOUNTS, st.sampled_from([CostBasis.EXACT, CostBasis.ESTIMATED]))
)
TRYINGS = st.builds(Trying, candidate=CANDIDATE_NAMES, upper_usd=st.none() | AMOUNTS)


LATENCIES_MS = st.integers(0, 10**6)


def attempts(outcomes):
    made = {"latency_ms": LATENCIES_MS, "cost": COSTS, "tokens": st.none() | TOKENS}
    return st.builds(attempt, CANDIDATE_NAMES, outcomes, **made)


OUTCOMES = st.sampled_from(Outcome)
FAILURES = st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.SUCCESS])


ENDED = st.tuples(st.lists(attempts(FAILURES), max_size=2), attempts(OUTCOMES))
"""Some failures, then a success or one more: as requests end."""

COUNTS = st.integers(0, 10**7)
TRIMMINGS = st.builds(
    Trimming,
    kind=st.sampled_from(TrimKind),
    before=COUNTS,
    after=COUNTS,
    messages_gone=COUNTS,
    passages_gone=COUNTS,
    limit=st.none() | COUNTS,
    is_estimated=st.booleans(),
    saved_usd=st.none() | AMOUNTS,
    usd_per_mtok=st.none() | AMOUNTS,
)

METADATA = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


@st.composite
def ended_records(draw, states=(RecordState.SETTLED, RecordState.UNSETTLED, RecordState.CORRECTED)):
    state = draw(st.sampled_from(states))
    failed, last = draw(ENDED)
    made = record(
        *failed,
        last,
        at=draw(MOMENTS),
        state=state,
        latency_ms=draw(LATENCIES_MS),
        metadata=draw(METADATA),
        baseline_usd=draw(st.none() | AMOUNTS),
        trimming=draw(st.none() | TRIMMINGS),
        counted_tokens=draw(st.none() | COUNTS),
    )
    if state is RecordState.SETTLED:
        return made
    tried = draw(st.sampled_from([made.attempts, made.attempts[:-1]]))
    return replace(made, attempts=tried, latency_ms=None, trying=draw(st.none() | TRYINGS))
