"""What a caller asks the figures for: `GET /stats?from=…&to=…&group_by=…`, checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from llm_router.client_keys import ClientKey, Role
from llm_router.errors import InvalidRequestError, OperatorOnlyError
from llm_router.spans import DAY, Span, hour_after
from llm_router.statistics import EVERYTHING, Grouping, Question

PARAMETERS = ("from", "to", "group_by")
LONGEST_BY_HOUR_DAYS = 31
LONGEST_DAYS = 3700
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
"""Before any request that was ever served."""

CALLERS_GROUPINGS = frozenset({Grouping.PROVIDER, Grouping.MODEL, Grouping.HOUR, Grouping.DAY})
"""What the sums of a single key can be told apart by."""


def question(parameters: Mapping[str, str], *, key: ClientKey, now: datetime) -> Question:
    """A key that is no operator's sees what it used itself. Raises InvalidRequestError or OperatorOnlyError."""
    if unknown := [name for name in parameters if name not in PARAMETERS]:
        raise InvalidRequestError(f"There is no such parameter; there are: {', '.join(PARAMETERS)}.", param=unknown[0])
    group_by = _grouping(parameters.get("group_by"))
    owner = "" if key.role is Role.OPERATOR else key.key_id
    if owner and group_by is not None and group_by not in CALLERS_GROUPINGS:
        known = ", ".join(sorted(CALLERS_GROUPINGS))
        raise OperatorOnlyError(f"Only a key with the role operator may group by {group_by}; yours may by: {known}.")
    if parameters.get("from") is None and parameters.get("to") is None:
        if group_by not in (Grouping.HOUR, Grouping.DAY):
            return Question(None, group_by, owner) if group_by or owner else EVERYTHING
        return Question(_lately(group_by, now), group_by, owner)
    return Question(_span(parameters, group_by, now), group_by, owner)


def _grouping(text: str | None) -> Grouping | None:
    if text is None:
        return None
    if text not in list(Grouping):
        raise InvalidRequestError(f"group_by must be one of: {', '.join(Grouping)}.", param="group_by")
    return Grouping(text)


def _lately(by: Grouping, now: datetime) -> Span:
    """Where no time is given: the last day by hours, the last month by days."""
    until = hour_after(now)
    return Span(until - (DAY if by is Grouping.HOUR else 31 * DAY), until)


def _span(parameters: Mapping[str, str], group_by: Grouping | None, now: datetime) -> Span:
    span = Span(
        _moment(parameters, "from") or EARLIEST,
        _moment(parameters, "to") or hour_after(now),
    )
    if span.since >= span.until:
        raise InvalidRequestError("from must be before to.", param="from")
    days = (span.until - span.since) / DAY
    if group_by is Grouping.HOUR and days > LONGEST_BY_HOUR_DAYS:
        raise InvalidRequestError(f"By hour at most {LONGEST_BY_HOUR_DAYS} days can be shown.", param="from")
    if days > LONGEST_DAYS:
        raise InvalidRequestError(f"At most {LONGEST_DAYS} days can be shown.", param="from")
    return span


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    """A day is its midnight, a time without a zone is UTC."""
    text = parameters.get(name)
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
        at = given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or (at.minute, at.second, at.microsecond) != (0, 0, 0):
        raise InvalidRequestError(
            f"{name} must be a day or a full hour in UTC: 2026-11-23 or 2026-11-23T14:00Z.", param=name
        )
    return max(at, EARLIEST)
