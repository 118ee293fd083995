"""What the schedule runs: aggregate, tell the fleet what routing goes by, publish the page, say how it went."""

from __future__ import annotations

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from llm_router import catalogue, figures, fleet_items, routing_facts
from llm_router.aggregator import Aggregator, Run
from llm_router.catalogue import Catalogue
from llm_router.checkpoints import Checkpoints
from llm_router.clock import Clock
from llm_router.errors import CatchingUpError
from llm_router.figures import Notice
from llm_router.fleet_store import FleetStore
from llm_router.publisher import Publisher
from llm_router.statistics import Statistics

RESERVED_TO_PUBLISH_S = 30.0
"""Of the time for a run: while the aggregation is catching up, the tail that publishing reads is at its longest."""

SHORTEST_AGGREGATION_S = 1.0

LATE_S = 600.0
"""An aggregation further behind than this is worth a warning."""


@dataclass(frozen=True, slots=True)
class StatsJob:
    aggregator: Aggregator
    statistics: Statistics
    checkpoints: Checkpoints
    fleet_store: FleetStore
    publisher: Publisher
    catalogue: Catalogue
    logger: Logger
    clock: Clock
    stage: str

    def run(self, *, limit_s: float) -> dict[str, object]:
        """Aggregate for what `limit_s` seconds leave after publishing, publish, and report. Raises StoreError.

        What is left for the next run is no failure: `behind_s` says how much that is.
        """
        run = self.aggregator.run(limit_s=max(limit_s - RESERVED_TO_PUBLISH_S, SHORTEST_AGGREGATION_S))
        facts = routing_facts.gathered(self.checkpoints, now=self.clock.now())
        self.fleet_store.put_facts(fleet_items.facts_text(facts))
        report: dict[str, object] = {
            "records": run.records,
            "behind_s": round(run.behind_s, 3),
            "as_of": self._publish(run),
        }
        self.logger.info("aggregated", extra={"event": "aggregated", **report})
        return report

    def _publish(self, run: Run) -> str | None:
        """Returns the time of the figures; None where the aggregation must catch up first."""
        try:
            found = self.statistics.published()
        except CatchingUpError:
            return None
        recent = self.statistics.recent()
        self.publisher.publish(figures.published(found, recent=recent, stage=self.stage, notices=self._notices(run)))
        return figures.timestamp(found.everything.as_of)

    def _notices(self, run: Run) -> list[Notice]:
        found = []
        if run.behind_s > LATE_S:
            late = f"The aggregation is {run.behind_s / 60:.0f} minutes behind; it is catching up."
            found.append(Notice("behind", late))
        if aged := catalogue.age_notice(self.catalogue.as_of, now=self.clock.now()):
            found.append(Notice("old_prices", aged))
        return found
