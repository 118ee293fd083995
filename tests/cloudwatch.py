"""As much of CloudWatch as the template uses: what a metric filter takes from a log line, and when an alarm is on.

What it does not know it refuses, so that nothing in the template is passed over.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ALARM_PROPERTIES = {
    *("AlarmName", "AlarmDescription", "AlarmActions", "OKActions"),
    *("Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods", "DatapointsToAlarm"),
    *("Threshold", "ComparisonOperator", "TreatMissingData"),
}
STATISTICS = {"Sum": sum, "Maximum": max}
COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}
MISSING = {"notBreaching": False, "breaching": True, "ignore": False}
"""An alarm that ignores what is missing keeps its state; here none is on before."""

CONDITION = re.compile(r"\$\.(\w+) (=|>=) (\"[^\"]*\"|[0-9]+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log group, written so many seconds ago."""

    group: str
    said: Mapping[str, Any]
    ago_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """One datapoint of a metric, so many seconds ago."""

    namespace: str
    metric: str
    value: float
    dimensions: frozenset[tuple[str, str]] = frozenset()
    ago_s: float = 0.0


def taken(line: Line, filters: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    for found in filters:
        if found["LogGroupName"] == line.group and matches(found["FilterPattern"], line.said):
            (made,) = found["MetricTransformations"]
            assert made.keys() == {"MetricNamespace", "MetricName", "MetricValue", "Unit"}
            value = made["MetricValue"]
            number = line.said[value[2:]] if value.startswith("$.") else value
            yield Point(made["MetricNamespace"], made["MetricName"], float(number), ago_s=line.ago_s)


def matches(pattern: str, said: Mapping[str, Any]) -> bool:
    conditions = [CONDITION.fullmatch(part) for part in pattern.removeprefix("{ ").removesuffix(" }").split(" && ")]
    assert all(conditions), pattern
    return all(_holds(*condition.groups(), said) for condition in conditions if condition)


def _holds(field: str, sign: str, operand: str, said: Mapping[str, Any]) -> bool:
    value = said.get(field)
    if operand.startswith('"'):
        assert sign == "="
        return isinstance(value, str) and value == operand.strip('"')
    return isinstance(value, int | float) and (value == float(operand) if sign == "=" else value >= float(operand))


def is_on(alarm: Mapping[str, Any], points: Iterable[Point]) -> bool:
    assert alarm.keys() <= ALARM_PROPERTIES, alarm.keys() - ALARM_PROPERTIES
    dimensions = frozenset((one["Name"], one["Value"]) for one in alarm.get("Dimensions", []))
    watched = (alarm["Namespace"], alarm["MetricName"], dimensions)
    own = [point for point in points if (point.namespace, point.metric, point.dimensions) == watched]
    periods = range(alarm["EvaluationPeriods"])
    breaching = sum(_is_breached(alarm, [p.value for p in own if p.ago_s // alarm["Period"] == at]) for at in periods)
    return breaching >= alarm.get("DatapointsToAlarm", len(periods))


def _is_breached(alarm: Mapping[str, Any], values: list[float]) -> bool:
    if not values:
        return MISSING[alarm["TreatMissingData"]]
    figure = STATISTICS[alarm["Statistic"]](values)
    return COMPARISONS[alarm["ComparisonOperator"]](figure, alarm["Threshold"])
