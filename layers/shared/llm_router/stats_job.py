"""What the schedule runs: aggregate, tell the fleet what routing goes by, publish the page, say how it went."""

from __future__ import annotations

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from llm_router import figures, fleet_items, routing_facts
from llm_router.aggregator import Aggregator, Run
from llm_router.checkpoints import Checkpoints
from llm_router.clock import Clock
from llm_router.errors import CatchingUpError
from llm_router.fleet_store import FleetStore
from llm_router.publisher import Publisher
from llm_router.statistics import Statistics

RESERVED_TO_PUBLISH_S = 15.0
SHORTEST_AGGREGATION_S = 1.0


@dataclass(frozen=True, slots=True)
class StatsJob:
    aggregator: Aggregator
    statistics: Statistics
    checkpoints: Checkpoints
    fleet_store: FleetStore
    publisher: Publisher
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
            snapshot = self.statistics.snapshot()
        except CatchingUpError:
            return None
        recent = self.statistics.recent()
        self.publisher.publish(figures.published(snapshot, recent=recent, stage=self.stage, behind_s=run.behind_s))
        return figures.timestamp(snapshot.as_of)
