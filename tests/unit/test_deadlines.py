"""How little time a request may have."""

from llm_router import dispatcher, failover, fleet
from llm_router.candidates import REQUEST_AT_LEAST_S


def test_the_least_time_of_a_request_is_that_of_an_attempt_and_of_what_is_done_before_and_after_it():
    around_s = fleet.ANSWERED_WITHIN_S + dispatcher.SETTLING_S
    assert around_s + failover.SHORTEST_ATTEMPT_S == REQUEST_AT_LEAST_S
