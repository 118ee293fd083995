"""The stats function: runs on its schedule, aggregates the ledger and publishes the page."""

from __future__ import annotations

import gc
import os

# What is imported stays. Looking for garbage in it meanwhile would be a tenth of the cold start.
gc.disable()

from aws_lambda_powertools.utilities.typing import LambdaContext  # noqa: E402  # after the line above

from llm_router import aws_session, stats_wiring  # noqa: E402  # the same

_job = stats_wiring.stats_job(os.environ)

# At the start Lambda lends a whole processor, at the first run no more: what makes that one slow is made here.
aws_session.s3()

gc.freeze()  # nor is it looked through at any run
gc.enable()


def handler(_event: object, context: LambdaContext) -> dict[str, object]:
    """Whatever the event says, the work is the same; a second run at once changes nothing."""
    return _job.run(limit_s=context.get_remaining_time_in_millis() / 1000)
