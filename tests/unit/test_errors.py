"""Each error that a caller can meet has the documented status and code."""

import pytest

from llm_router import errors
from llm_router.errors import CallerError, ConfigurationError, RequestError, RouterError, StoreError

# What happened: status, code, `x-should-retry`.
DOCUMENTED = {
    "InvalidRequestError": (400, "invalid_request", None),
    "TooManyGroupsError": (400, "invalid_request", None),
    "PromptTooLongError": (400, "context_length_exceeded", None),
    "RequestTooLargeError": (413, "request_too_large", None),
    "InvalidApiKeyError": (401, "invalid_api_key", None),
    "ContentFilterError": (400, "content_filter", None),
    "ContextLengthError": (400, "context_length_exceeded", None),
    "RefusedRequestError": (400, "invalid_request", None),
    "AllProvidersFailedError": (502, "all_providers_failed", False),
    "NoProviderAvailableError": (503, "no_provider_available", False),
    "DeadlineExceededError": (504, "deadline_exceeded", False),
    "StreamBrokenError": (502, "stream_broken", False),
    "AnswerTooLargeError": (502, "answer_too_large", False),
    "AbandonedError": (499, "abandoned", None),
    "OperatorOnlyError": (403, "operator_only", None),
    "SwitchUnavailableError": (503, "switch_unavailable", None),
    "NotFoundError": (404, "not_found", None),
    "MethodNotAllowedError": (405, "method_not_allowed", None),
    "KeyStoreUnavailableError": (503, "key_store_unavailable", None),
    "StatsUnavailableError": (503, "stats_unavailable", None),
    "InternalError": (500, "internal_error", None),
}


def kinds(root):
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


CALLERS = [kind for kind in kinds(CallerError) if kind is not RequestError]


def test_every_error_for_callers_is_documented():
    assert {kind.__name__ for kind in CALLERS} == DOCUMENTED.keys()


@pytest.mark.parametrize("kind", CALLERS, ids=lambda kind: kind.__name__)
def test_an_error_has_its_status_and_code(kind):
    error = kind("What went wrong.")
    assert (error.status, error.code, error.should_retry) == DOCUMENTED[kind.__name__]


@pytest.mark.parametrize("kind", CALLERS, ids=lambda kind: kind.__name__)
def test_an_errors_type_is_one_of_openais(kind):
    by_status = {401: "authentication_error", 400: "invalid_request_error", 404: "invalid_request_error"}
    by_status |= {405: "invalid_request_error", 413: "invalid_request_error", 403: "permission_error"}
    assert kind.type == by_status.get(kind.status, "api_error")


@pytest.mark.parametrize("kind", CALLERS, ids=lambda kind: kind.__name__)
def test_an_error_carries_what_its_answer_needs(kind):
    error = kind("What went wrong.", param="prompt", retry_after_s=7)
    assert (error.message, error.param, error.retry_after_s) == ("What went wrong.", "prompt", 7)
    assert str(error) == "What went wrong."


def test_there_is_one_root():
    everything = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, RouterError) for kind in everything)
    assert all(kind.__name__.endswith("Error") for kind in everything)


def test_every_error_is_in_the_drawn_tree():
    for kind in kinds(RouterError):
        assert f"+-- {kind.__name__} " in errors.__doc__


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        (["a is wrong"], "providers.yaml has 1 problem:\n  - a is wrong"),
        (["a is wrong", "b too"], "providers.yaml has 2 problems:\n  - a is wrong\n  - b too"),
    ],
)
def test_a_configuration_error_lists_every_problem(problems, message):
    error = ConfigurationError("providers.yaml", problems)
    assert str(error) == message
    assert error.problems == problems


def test_a_store_error_says_which_operation_failed_and_how():
    error = StoreError("PutItem", "ThrottlingException")
    assert str(error) == "PutItem failed: ThrottlingException"
    assert not isinstance(error, CallerError)
