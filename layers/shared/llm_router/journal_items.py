"""Usage records as DynamoDB items and back. Pure; the keys are described in docs/data-model.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llm_router import dynamodb_values, json_text, positions
from llm_router.usage import (
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

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = dict[str, AttributeValueTypeDef]

_ALWAYS_KEPT = ("prompt", "cached_prompt", "completion")
COUNT = ":count"
"""In a condition of `update_expression`."""

_RARE = tuple(kind.name for kind in fields(TokenUsage) if kind.name not in _ALWAYS_KEPT)


def to_item(values: Mapping[str, object]) -> Item:
    """None is left out: an absent attribute is the only nothing."""
    return {name: dynamodb_values.typed(value) for name, value in values.items() if value is not None}


def from_item(item: Mapping[str, AttributeValueTypeDef]) -> dict[str, Any]:
    return {name: dynamodb_values.plain(value) for name, value in item.items()}


def journal_key(position: str) -> dict[str, str]:
    return {"pk": journal_partition(positions.shard_of(position)), "sk": position}


def journal_partition(shard: int) -> str:
    return f"journal#{shard:02}"


def moved_key(request_id: str, *, day: date) -> dict[str, str]:
    """Of the mark that a record stands elsewhere than where its id says. It lies in no shard, so no walk meets it.

    There is one for each request, and those of a day of opening lie together, so that they are found by time.
    """
    return {"pk": moved_partition(day), "sk": request_id}


def moved_partition(day: date) -> str:
    return f"moved#{day.isoformat()}"


def record_values(record: UsageRecord) -> dict[str, object]:
    """A record's attributes without its keys, and without `corrected_at`, which the correction alone writes."""
    return {
        "request_id": record.request_id,
        "state": record.state.value,
        "route": record.route,
        "key_id": record.key_id,
        "opened_at": record.opened_at.isoformat(),
        "deadline_at": record.deadline_at.isoformat(),
        "attempts": [_attempt_values(attempt) for attempt in record.attempts],
        "trying": _trying_values(record.trying) if record.trying else None,
        "error": record.error,
        "latency_ms": record.latency_ms,
        "settled_at": record.settled_at.isoformat() if record.settled_at else None,
        "metadata": dict(record.metadata) or None,
        "cost_usd": record.cost.usd,
        "cost_basis": record.cost.basis.value,
        "baseline_usd": record.baseline_usd,
        "memory_mb": record.memory_mb,
        "trimming": _trimming_values(record.trimming) if record.trimming else None,
        "counted_tokens": record.counted_tokens,
        "replaces": _replaced_values(record.replaces) if record.replaces else None,
    }


def record(values: Mapping[str, Any], *, position: str) -> UsageRecord:
    replaces = values.get("replaces")
    return UsageRecord(
        position=position,
        request_id=values["request_id"],
        state=RecordState(values["state"]),
        route=values["route"],
        key_id=values["key_id"],
        opened_at=_time(values["opened_at"]),
        deadline_at=_time(values["deadline_at"]),
        attempts=tuple(_attempt(attempt) for attempt in values.get("attempts", ())),
        trying=_trying(values["trying"]) if values.get("trying") else None,
        error=values.get("error"),
        latency_ms=_whole(values.get("latency_ms")),
        settled_at=_time(values["settled_at"]) if values.get("settled_at") else None,
        metadata=values.get("metadata", {}),
        baseline_usd=values.get("baseline_usd"),
        memory_mb=_whole(values.get("memory_mb")),
        trimming=_trimming(values["trimming"]) if values.get("trimming") else None,
        counted_tokens=_whole(values.get("counted_tokens")),
        replaces=record(replaces, position=replaces["position"]) if replaces else None,
        corrected_at=values.get("corrected_at"),
    )


def record_of(item: Mapping[str, AttributeValueTypeDef]) -> UsageRecord:
    values = from_item(item)
    return record(values, position=values["sk"])


def log_text(record: UsageRecord) -> str:
    """A record as JSON, for a line of the log."""
    return json_text.encode({"position": record.position, **record_values(record)}).decode()


def logged_record(text: str) -> UsageRecord:
    """What `log_text` wrote down. Raises ValueError for what is no record."""
    values = json_text.decode(text.encode())
    if not isinstance(values, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  # of the text, not of its type
    try:
        return record_of(to_item({**values, "sk": values["position"]}))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no usage record: {type(error).__name__} {error}") from error


def in_state(state: RecordState) -> Any:
    """For a call on the condition that the record is in that state."""
    return {
        "ConditionExpression": "#state = :only_if",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": to_item({":only_if": state.value}),
    }


def update_expression(values: Mapping[str, object], only_if: RecordState, *, known: str = "", count: int = 0) -> Any:
    """SET what has a value, REMOVE what has none, on the condition that the record is in the state `only_if`.

    `known` is a further condition, on attributes among `values`; `COUNT` in it is `count`.
    """
    present = {name: value for name, value in values.items() if value is not None}
    absent = [name for name, value in values.items() if value is None]
    sets = ", ".join(f"#{name} = :{name}" for name in present)
    removes = f" REMOVE {', '.join(f'#{name}' for name in absent)}" if absent else ""
    counted = {COUNT: count} if known else {}
    return {
        "UpdateExpression": f"SET {sets}{removes}",
        "ConditionExpression": f"#state = :only_if AND {known}" if known else "#state = :only_if",
        "ExpressionAttributeNames": {f"#{name}": name for name in {*values, "state"}},
        "ExpressionAttributeValues": to_item(
            {**{f":{name}": value for name, value in present.items()}, ":only_if": only_if.value, **counted}
        ),
    }


def _attempt_values(attempt: Attempt) -> dict[str, object]:
    tokens = attempt.tokens
    return _without_none(
        {
            "provider": attempt.provider,
            "model": attempt.model,
            "outcome": attempt.outcome.value,
            "latency_ms": attempt.latency_ms,
            "cost_usd": attempt.cost.usd,
            "cost_basis": attempt.cost.basis.value,
            **(_token_values(tokens) if tokens else {}),
        }
    )


def _token_values(tokens: TokenUsage) -> dict[str, object]:
    """Kinds that few requests have are left out where there are none."""
    always = {f"{kind}_tokens": getattr(tokens, kind) for kind in _ALWAYS_KEPT}
    return always | {f"{kind}_tokens": count for kind in _RARE if (count := getattr(tokens, kind))}


def _attempt(values: Mapping[str, Any]) -> Attempt:
    tokens = None
    if "prompt_tokens" in values:
        tokens = TokenUsage(
            **{kind: int(values[f"{kind}_tokens"]) for kind in _ALWAYS_KEPT},
            **{kind: int(values.get(f"{kind}_tokens", 0)) for kind in _RARE},
        )
    return Attempt(
        provider=values["provider"],
        model=values["model"],
        outcome=_outcome(values["outcome"]),
        latency_ms=int(values["latency_ms"]),
        cost=Cost(values.get("cost_usd"), CostBasis(values["cost_basis"])),
        tokens=tokens,
    )


def _outcome(text: str) -> Outcome:
    return Outcome(text) if text in list(Outcome) else Outcome.UNKNOWN


def _replaced_values(replaced: UsageRecord) -> dict[str, object]:
    return _without_none({"position": replaced.position, **record_values(replaced)})


def _trying_values(trying: Trying) -> dict[str, object]:
    return _without_none({"candidate": trying.candidate, "upper_usd": trying.upper_usd})


def _trying(values: Mapping[str, Any]) -> Trying:
    return Trying(candidate=values["candidate"], upper_usd=values.get("upper_usd"))


def _trimming_values(trimming: Trimming) -> dict[str, object]:
    return _without_none({**asdict(trimming), "kind": trimming.kind.value})


def _trimming(values: Mapping[str, Any]) -> Trimming | None:
    """None for a kind that this version does not know."""
    if values["kind"] not in list(TrimKind):
        return None
    return Trimming(
        kind=TrimKind(values["kind"]),
        before=int(values["before"]),
        after=int(values["after"]),
        messages_gone=int(values["messages_gone"]),
        passages_gone=int(values["passages_gone"]),
        limit=_whole(values.get("limit")),
        is_estimated=values["is_estimated"],
        saved_usd=values.get("saved_usd"),
        usd_per_mtok=values.get("usd_per_mtok"),
    )


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _whole(value: Decimal | None) -> int | None:
    return None if value is None else int(value)
