"""Every error a caller or an operator can meet, in one tree.

    RouterError
    +-- ConfigurationError            providers.yaml is wrong; lists every problem
    +-- SettingsError                 the environment is wrong; lists every problem
    +-- StoreError                    DynamoDB did not answer in time or refused
    |   +-- CatchingUpError               the figures are too far behind to be exact now
    +-- CallerError                   what the HTTP caller is told
        +-- InvalidRequestError           400 invalid_request, with `param`
        |   +-- TooManyGroupsError            more sums than one answer may hold
        |   +-- PromptTooLongError            400 context_length_exceeded, cannot be trimmed so far
        +-- RequestTooLargeError          413 request_too_large
        +-- InvalidApiKeyError            401 invalid_api_key
        +-- OperatorOnlyError             403 operator_only
        +-- KeyStoreUnavailableError      503 key_store_unavailable
        +-- NotFoundError                 404 not_found
        +-- MethodNotAllowedError         405 method_not_allowed
        +-- StatsUnavailableError         503 stats_unavailable
        +-- SwitchUnavailableError        503 switch_unavailable
        +-- InternalError                 500 internal_error
        +-- RequestError                  a request that was accepted and then could not be served
            +-- ContentFilterError            400 content_filter
            +-- ContextLengthError            400 context_length_exceeded
            +-- RefusedRequestError           400 invalid_request, refused by the providers themselves
            +-- AllProvidersFailedError       502 all_providers_failed
            +-- NoProviderAvailableError      503 no_provider_available, with `retry_after_s` where it is known
            +-- DeadlineExceededError         504 deadline_exceeded
            +-- StreamBrokenError             502 stream_broken, told inside the stream
            +-- AnswerTooLargeError           502 answer_too_large
            +-- AbandonedError                499 abandoned, told to nobody: the caller is gone

The table from error to HTTP status is the `status` and `code` of each class. No message carries a key, a prompt,
an upstream URL or an upstream's words.
"""

from __future__ import annotations

from typing import ClassVar


class RouterError(Exception):
    """The root of all errors of this project."""


class ConfigurationError(RouterError):
    """`problems` holds every fault found, each with its place, what is wrong and what to do."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source} has {count}:", *(f"  - {p}" for p in problems)]))


class SettingsError(ConfigurationError):
    """The environment variables are not what the settings need."""


class StoreError(RouterError):
    """DynamoDB could not be reached, was too slow, or refused. `operation` is the API call's name."""

    def __init__(self, operation: str, reason: str) -> None:
        self.operation = operation
        self.reason = reason
        super().__init__(f"{operation} failed: {reason}")


class CatchingUpError(StoreError):
    """So much has not been aggregated yet that figures of this moment can't be had in time."""

    def __init__(self) -> None:
        super().__init__("snapshot", "the aggregation is catching up; try again in a few minutes")


class CallerError(RouterError):
    """An error with an HTTP status, in the OpenAI error shape.

    `retry_after_s` becomes the header Retry-After; `should_retry` false becomes `x-should-retry: false`, which
    stops the retries that OpenAI's SDKs make by themselves.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "api_error"
    should_retry: bool | None = None

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        super().__init__(message)


class InvalidRequestError(CallerError):
    status = 400
    code = "invalid_request"
    type = "invalid_request_error"


class TooManyGroupsError(InvalidRequestError):
    """What was asked for would be read, and sent, without end."""


class PromptTooLongError(InvalidRequestError):
    """What of a prompt must stay is more than the route or its models allow. Nothing was sent."""

    code = "context_length_exceeded"


class RequestTooLargeError(CallerError):
    status = 413
    code = "request_too_large"
    type = "invalid_request_error"


class InvalidApiKeyError(CallerError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class OperatorOnlyError(CallerError):
    """What only a client key with the role `operator` may do."""

    status = 403
    code = "operator_only"
    type = "permission_error"


class KeyStoreUnavailableError(CallerError):
    """The client key can't be checked because its store is out of reach, and it is not in the cache."""

    status = 503
    code = "key_store_unavailable"


class NotFoundError(CallerError):
    status = 404
    code = "not_found"
    type = "invalid_request_error"


class MethodNotAllowedError(CallerError):
    status = 405
    code = "method_not_allowed"
    type = "invalid_request_error"


class StatsUnavailableError(CallerError):
    """The figures can't be read: their store is out of reach."""

    status = 503
    code = "stats_unavailable"


class SwitchUnavailableError(CallerError):
    """Whether a provider is switched is not known: the store that tells the fleet did not confirm it."""

    status = 503
    code = "switch_unavailable"


class InternalError(CallerError):
    """A fault of our own, logged with its traceback."""


class RequestError(CallerError):
    """A request that was accepted, is in the ledger, and could not be served."""


class ContentFilterError(RequestError):
    status = 400
    code = "content_filter"
    type = "invalid_request_error"


class ContextLengthError(RequestError):
    status = 400
    code = "context_length_exceeded"
    type = "invalid_request_error"


class RefusedRequestError(RequestError):
    """Two providers called the request itself wrong."""

    status = 400
    code = "invalid_request"
    type = "invalid_request_error"


class AllProvidersFailedError(RequestError):
    status = 502
    code = "all_providers_failed"
    should_retry = False


class NoProviderAvailableError(RequestError):
    """Worth asking again where it is known when; a missing key or a switch waits for an operator."""

    status = 503
    code = "no_provider_available"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.should_retry = False if retry_after_s is None else None


class DeadlineExceededError(RequestError):
    status = 504
    code = "deadline_exceeded"
    should_retry = False


class StreamBrokenError(RequestError):
    """A live answer broke off after its beginning was shown."""

    status = 502
    code = "stream_broken"
    should_retry = False


class AnswerTooLargeError(RequestError):
    """A whole answer that Lambda can't hand over in one piece."""

    status = 502
    code = "answer_too_large"
    should_retry = False


class AbandonedError(RequestError):
    """The caller hung up; the status is nginx's for that."""

    status = 499
    code = "abandoned"
