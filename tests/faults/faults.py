"""What providers do wrong: each fault as a script of a real HTTP server, and what must become of a request there.

The expectations are written out from the failover table of the design, not computed by the code under test. A request
meets a fault at its first candidate; it has no other, or a second one that is healthy.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto

from streaming_provider import (
    USAGE,
    Script,
    Wire,
    as_event,
    chunk,
    completion,
    delta,
    in_turn,
    refuses,
    says,
    streams,
    text_events,
)

FIRST_TOKEN_S = 1.5
IDLE_S = 1.5
ATTEMPT_S = 4.0
"""The limits of the candidate that misbehaves: to its first content, of silence after it, of an attempt until then."""

REQUEST_S = 12.0
GRACE_S = 2.0
"""What a silent provider may cost a caller beside its limit."""

PIECES = ("First half, ", "and the rest.")
FIRST, SECOND = "whole from the first", "whole from the second"
ALL_FAILED = "502 all_providers_failed"
TOO_LATE = "504 deadline_exceeded"
COOLING_DOWN = "503 no_provider_available"
BROKEN = "error event stream_broken"


class Line(Enum):
    """Where the provider is reached: with all others, at an address of its own, or at one with something wrong."""

    SHARED = auto()
    OWN = auto()
    NOBODY_LISTENS = auto()
    TLS = auto()
    TLS_OF_ANOTHER_NAME = auto()
    TLS_OF_A_STRANGER = auto()


@dataclass(frozen=True)
class Try:
    """One attempt as the ledger must have it. `basis` is nothing for one that cannot have been billed."""

    outcome: str
    basis: str = "nothing"


@dataclass(frozen=True)
class Expected:
    """How the request ends for its caller, and what was tried of the first provider."""

    end: str
    tries: tuple[Try, ...]


@dataclass(frozen=True)
class Fault:
    """`shows` is true where a live caller has seen something before it breaks: then nothing but `broken` can follow.

    `before` requests are made first. `limit_s` is how long the first provider's attempts may last; `unseen` says that
    no request reaches it. A delicate one is met while nothing else goes on, because it is about moments.
    """

    name: str
    script: Script
    alone: Expected
    several: Expected
    shows: bool = False
    broken: str = BROKEN
    before: int = 0
    line: Line = Line.SHARED
    limit_s: float | None = None
    request_s: float = REQUEST_S
    windows: tuple[int, int] = (8_000, 32_000)
    is_delicate: bool = False

    @property
    def is_unseen(self) -> bool:
        return self.line in (Line.NOBODY_LISTENS, Line.TLS_OF_ANOTHER_NAME, Line.TLS_OF_A_STRANGER)

    def expected(self, *, several: bool, live: bool) -> Expected:
        found = self.several if several else self.alone
        return Expected(self.broken, found.tries[:1]) if live and self.shows else found


def free(outcome: str) -> Try:
    return Try(outcome)


def estimated(outcome: str) -> Try:
    return Try(outcome, "estimated")


def exact(outcome: str) -> Try:
    return Try(outcome, "exact")


ANSWERS = exact("success")


def fails(name: str, script: Script, *tries: Try, alone: str = ALL_FAILED, **traits: object) -> Fault:
    """The provider's fault: the next candidate answers; without one it is an error."""
    return Fault(name, script, Expected(alone, tries), Expected(SECOND, tries), **traits)  # type: ignore[arg-type]


def recovers(name: str, script: Script, *tries: Try, **traits: object) -> Fault:
    """The first candidate answers in the end, whether or not there is another."""
    expected = Expected(FIRST, tries)
    return Fault(name, script, expected, expected, **traits)  # type: ignore[arg-type]


def ends(name: str, script: Script, end: str, *tries: Try, **traits: object) -> Fault:
    """Nobody else is asked."""
    expected = Expected(end, tries)
    return Fault(name, script, expected, expected, **traits)  # type: ignore[arg-type]


# What scripts say.

ANSWER = says(*PIECES)
EVENTS = text_events(*PIECES)
WHOLE = completion("".join(PIECES))
BEGINNING = EVENTS[:2]
"""The role, and the first half of the text."""

MOMENT_S = 0.1
WORDS = "told by the provider"
"""What an upstream says of itself; no caller may read it."""


def begins(wire: Wire) -> None:
    for event in BEGINNING:
        wire.event(event)


def after_its_beginning(then: Script) -> Script:
    def script(wire: Wire) -> None:
        begins(wire)
        time.sleep(MOMENT_S)  # what was sent must have been read before the connection goes
        then(wire)

    return script


def once(script: Script) -> Script:
    return in_turn(script, ANSWER)


def is_silent(wire: Wire) -> None:
    wire.wait_for_hang_up()


def is_silent_after_headers(content_type: str, status: int = 200) -> Script:
    def script(wire: Wire) -> None:
        wire.begin(status, content_type)
        wire.wait_for_hang_up()

    return script


def comments_for_ever(wire: Wire) -> None:
    """As some gateways do while their model is silent."""
    while True:
        wire.comment()
        time.sleep(0.2)


def dribbles(wire: Wire) -> None:
    """Bytes come, events don't."""
    begins(wire)
    wire.send(b"data: ")
    while True:
        wire.send(b" ")
        time.sleep(0.2)


def drips(*, times: int, gap_s: float = 0.3) -> Script:
    """A word now and then, each sooner than the idle limit, all together longer than an attempt may take."""

    def script(wire: Wire) -> None:
        wire.event(EVENTS[0])
        for at in range(times):
            wire.event(chunk(delta(content=PIECES[0] if at == 0 else "")))
            wire.event(chunk(delta(reasoning_content=".")))
            time.sleep(gap_s)
        for event in EVENTS[2:]:
            wire.event(event)
        wire.done()

    return script


def is_slow(seconds: float) -> Script:
    def script(wire: Wire) -> None:
        wire.begin()
        time.sleep(seconds)
        ANSWER(wire)

    return script


def says_bytes(body: bytes, content_type: str = "application/json", **headers: str) -> Script:
    def script(wire: Wire) -> None:
        wire.begin(200, content_type, **headers)
        wire.send(body)

    return script


def says_json(status: int, value: object, **headers: str) -> Script:
    return lambda wire: wire.json(status, value, **headers)


def says_nothing(wire: Wire) -> None:
    wire.has_begun = wire.has_ended = True
    wire.handler.send_response(204)
    wire.handler.end_headers()


def half_a_body(then: Callable[[Wire], None]) -> Script:
    """More is promised than comes."""

    def script(wire: Wire) -> None:
        wire.begin(200, "application/json")
        wire.send(json.dumps(WHOLE).encode()[:60])
        time.sleep(MOMENT_S)
        then(wire)

    return script


def closes_when_the_next_request_arrives(wire: Wire) -> None:
    """As a connection does that died while the process was frozen."""
    if wire.number == 2:
        wire.cut()
    else:
        wire.json(200, WHOLE)


def closes_after_each_answer(wire: Wire) -> None:
    wire.json(200, WHOLE)
    wire.cut()


def says_an_error_by_its_name(wire: Wire) -> None:
    """The event's name says that it is an error, its data does not; then it goes on as if nothing were."""
    begins(wire)
    wire.send(b"event: error\ndata: " + json.dumps({"message": WORDS, "code": 500}).encode() + b"\n\n")
    streams(*EVENTS[2:])(wire)


def has_heartbeats(wire: Wire) -> None:
    for event in EVENTS:
        wire.event(event)
        wire.send(b"data:\n\ndata: ping\n\n")
    wire.done()


def goes_down_and_up(wire: Wire) -> None:
    (refuses(503) if wire.number % 2 else ANSWER)(wire)


def limited(**headers: str) -> Script:
    return refuses(429, "rate_limit_exceeded", **headers)


def limited_until_a_date(wire: Wire) -> None:
    limited(retry_after=formatdate(time.time() + 2, usegmt=True))(wire)


def refuses_streams_but_streams(wire: Wire) -> None:
    if wire.is_streamed:
        refuses(400, "unsupported_parameter", "stream")(wire)
    else:
        streams(*EVENTS)(wire)


def refuses_streams_and_is_silent(wire: Wire) -> None:
    (refuses(400, "unsupported_parameter", "stream") if wire.is_streamed else is_silent)(wire)


def zipped_stream_that_ends_early(wire: Wire) -> None:
    press = zlib.compressobj(wbits=31)
    wire.begin(200, content_encoding="gzip")
    for event in BEGINNING:
        wire.send(press.compress(as_event(event)) + press.flush(zlib.Z_SYNC_FLUSH))


def told(code: object = None, **fields: object) -> dict[str, object]:
    return {"error": {"message": WORDS, "type": "server_error", "code": code, **fields}}


HTML = b"<!doctype html><html><title>502 Bad Gateway</title><body>Sorry</body></html>"
UNUSED = completion(choices=[])
WITHOUT_TEXT = completion(None)
BROKEN_OFF = [*BEGINNING, chunk(delta(finish="network_error")), chunk(usage=USAGE)]
FILTERED = [*BEGINNING, chunk(delta(finish="content_filter")), chunk(usage=USAGE)]
FILTERED_IN_CAPITALS = [*BEGINNING, chunk(delta(finish="SAFETY")), chunk(usage=USAGE)]
STOPPED_EARLY = [*BEGINNING, chunk(delta(finish="stop"), x_groq={"id": "req_1", "error": WORDS}), chunk(usage=USAGE)]
ALWAYS_AT_AN_END = [chunk(delta(content=piece, finish="stop")) for piece in PIECES]
COUNTS_AS_IT_GOES = [
    chunk(usage=USAGE),
    *(chunk(delta(content=piece), usage=USAGE, x_groq={"id": "req_1"}) for piece in PIECES),
    chunk(delta(finish="stop"), usage=USAGE),
]


# The catalogue.

CONNECTIONS = [
    fails("refuses connections", ANSWER, *[free("unreachable")] * 2, line=Line.NOBODY_LISTENS),
    fails(
        "resets before the headers",
        lambda wire: wire.reset(),
        *[free("unreachable")] * 2,
        line=Line.OWN,
        is_delicate=True,
    ),
    recovers(
        "resets before the headers, once",
        once(lambda wire: wire.reset()),
        free("unreachable"),
        ANSWERS,
        line=Line.OWN,
        is_delicate=True,
    ),
    fails("resets in the middle of a body", half_a_body(lambda wire: wire.reset()), estimated("cut")),
    fails("closes in the middle of a body", half_a_body(lambda wire: wire.cut()), estimated("cut")),
    fails("resets in the middle of a stream", after_its_beginning(Wire.reset), estimated("cut"), shows=True),
    recovers(
        "a kept connection closes as the next request comes",
        closes_when_the_next_request_arrives,
        free("connection_lost"),
        ANSWERS,
        before=1,
        line=Line.OWN,
        is_delicate=True,
    ),
    recovers(
        "closes a kept connection between requests",
        closes_after_each_answer,
        ANSWERS,
        before=1,
        line=Line.OWN,
        is_delicate=True,
    ),
    recovers("a certificate that matches", ANSWER, ANSWERS, line=Line.TLS),
    fails("a certificate of another name", ANSWER, *[free("unreachable")] * 2, line=Line.TLS_OF_ANOTHER_NAME),
    fails("a certificate that nobody vouches for", ANSWER, *[free("unreachable")] * 2, line=Line.TLS_OF_A_STRANGER),
]

WAITED_FOR = {
    "in seconds": limited(retry_after="1"),
    "as a date": limited_until_a_date,
    "as retry-after-ms": limited(retry_after_ms="300"),
    "negative": limited(retry_after="-5"),
    "garbage": limited(retry_after="soon, I hope"),
    "none": limited(),
}

RATE_LIMITS = [
    *(
        Fault(
            f"429, Retry-After {form}, once",
            once(script),
            Expected(FIRST, (free("rate_limited"), ANSWERS)),
            Expected(SECOND, (free("rate_limited"),)),
        )
        for form, script in WAITED_FOR.items()
    ),
    *(
        Fault(
            f"429, Retry-After {form}, for ever",
            script,
            Expected(COOLING_DOWN, (free("rate_limited"),) * 2),
            Expected(SECOND, (free("rate_limited"),)),
        )
        for form, script in WAITED_FOR.items()
    ),
    fails(
        "429, Retry-After absurdly large",
        once(limited(retry_after="1" + "0" * 30)),
        free("rate_limited"),
        alone=COOLING_DOWN,
    ),
    fails(
        "429, Retry-After in a year", once(limited(retry_after="31536000")), free("rate_limited"), alone=COOLING_DOWN
    ),
    fails(
        "498 with a rate limit's code, for a minute",
        refuses(498, "capacity_exceeded", retry_after="60"),
        free("rate_limited"),
        alone=COOLING_DOWN,
    ),
    fails(
        "413 with a rate limit's code, for a minute",
        refuses(413, "rate_limit_exceeded", retry_after="60"),
        free("rate_limited"),
        alone=COOLING_DOWN,
    ),
]

STATUSES = [
    recovers("500, once", once(refuses(500)), free("server_error"), ANSWERS),
    fails("500, for ever", refuses(500), *[free("server_error")] * 2),
    recovers("502, once", once(refuses(502)), free("server_error"), ANSWERS),
    fails("502, for ever", refuses(502), *[free("server_error")] * 2),
    *(fails(str(status), refuses(status), free("overloaded")) for status in (503, 504, 529, 408)),
    fails("503 in HTML", lambda wire: (wire.begin(503, "text/html"), wire.send(HTML)), free("overloaded")),
    fails(
        "503 whose body never comes",
        is_silent_after_headers("application/json", 503),
        free("overloaded"),
        limit_s=IDLE_S,
    ),
    fails("a redirect", lambda wire: wire.json(307, {}, location="/elsewhere"), free("malformed")),
    fails("down, up, down", goes_down_and_up, free("overloaded"), before=2),
    recovers("down, up, down, up", goes_down_and_up, ANSWERS, before=3),
]

REFUSALS = [
    fails("401, bad key", refuses(401, "invalid_api_key"), free("refused")),
    fails("400, bad key", refuses(400, "invalid_api_key"), free("refused")),
    fails("403, no permission", refuses(403), free("refused")),
    fails("402, credit used up", refuses(402), free("refused")),
    fails("429, insufficient_quota", refuses(429, "insufficient_quota"), free("refused")),
    fails("404, no such model", refuses(404, "model_not_found"), free("refused")),
    Fault(
        "context length, a larger window is next",
        refuses(400, "context_length_exceeded"),
        Expected("400 context_length_exceeded", (free("context_length"),)),
        Expected(SECOND, (free("context_length"),)),
    ),
    ends(
        "context length, no larger window",
        refuses(400, "context_length_exceeded"),
        "400 context_length_exceeded",
        free("context_length"),
        windows=(8_000, 8_000),
    ),
    ends("content filter", refuses(400, "content_filter"), "400 content_filter", free("content_filter")),
    ends(
        "moderation, 403",
        says_json(403, told(403, metadata={"reasons": ["violence"]})),
        "400 content_filter",
        free("content_filter"),
    ),
    ends(
        "content filter in mid-stream",
        streams(*FILTERED),
        "400 content_filter",
        exact("content_filter"),
        shows=True,
        broken="error event content_filter",
    ),
    ends(
        "a safety stop in mid-stream, in capitals",
        streams(*FILTERED_IN_CAPITALS),
        "400 content_filter",
        exact("content_filter"),
        shows=True,
        broken="error event content_filter",
    ),
    fails("400 of another kind", refuses(400, None, "temperature"), free("bad_request"), alone="400 invalid_request"),
    fails("422", refuses(422), free("bad_request"), alone="400 invalid_request"),
]

TIMES = [
    fails("silence", is_silent, estimated("timeout"), limit_s=FIRST_TOKEN_S),
    fails(
        "headers, then silence",
        is_silent_after_headers("text/event-stream"),
        estimated("timeout"),
        limit_s=FIRST_TOKEN_S,
    ),
    fails(
        "headers of JSON, then silence",
        is_silent_after_headers("application/json"),
        estimated("timeout"),
        limit_s=ATTEMPT_S,
    ),
    fails("comments and no word", comments_for_ever, estimated("timeout"), limit_s=FIRST_TOKEN_S),
    fails(
        "refuses streams, then silence",
        refuses_streams_and_is_silent,
        free("stream_refused"),
        estimated("timeout"),
        limit_s=ATTEMPT_S,
    ),
    fails("first token past its limit", is_slow(FIRST_TOKEN_S + 5), estimated("timeout"), limit_s=FIRST_TOKEN_S),
    recovers("first token late", is_slow(FIRST_TOKEN_S / 3), ANSWERS),
    fails(
        "stall in mid-stream",
        after_its_beginning(is_silent),
        estimated("timeout"),
        shows=True,
        limit_s=MOMENT_S + IDLE_S,
    ),
    fails("bytes without an event in mid-stream", dribbles, estimated("timeout"), shows=True, limit_s=IDLE_S),
    recovers("a drip below the idle limit", drips(times=15), ANSWERS),
    ends(
        "a drip past the deadline",
        drips(times=100),
        TOO_LATE,
        estimated("out_of_time"),
        shows=True,
        broken="error event deadline_exceeded",
        request_s=4.0,
    ),
]

ANSWERS_IN_PIECES = [
    fails("cut in mid-stream, terminated", streams(*BEGINNING, with_done=False), estimated("cut"), shows=True),
    fails("cut in mid-stream, not terminated", after_its_beginning(Wire.cut), estimated("cut"), shows=True),
    fails("cut before the first word", lambda wire: (wire.event(EVENTS[0]), wire.cut()), estimated("cut")),
    fails("[DONE] without a finish reason", streams(*BEGINNING), estimated("cut"), shows=True),
    fails(
        "cut after the finish reason, not terminated",
        lambda wire: (streams(*EVENTS, with_done=False)(wire), time.sleep(MOMENT_S), wire.cut()),
        exact("cut"),
        shows=True,
    ),
    recovers("cut after [DONE]", lambda wire: (streams(*EVENTS)(wire), wire.cut()), ANSWERS),
    recovers("no [DONE]", streams(*EVENTS, with_done=False), ANSWERS),
    recovers("no usage", says(*PIECES, usage=None), estimated("success")),
    fails("a malformed chunk", streams(*BEGINNING, b'{"id": "chatcmpl-1", "choi'), estimated("malformed"), shows=True),
    fails("a malformed chunk first", streams(b'{"id": "chatcmpl-1", "choi'), estimated("malformed")),
    fails("an error event", streams(*BEGINNING, told(502)), estimated("malformed"), shows=True),
    fails("an error event first", streams(told(502)), estimated("malformed")),
    fails("an error event that only its name tells", says_an_error_by_its_name, estimated("malformed"), shows=True),
    fails(
        "an error in Groq's own place, beside a finish reason",
        streams(*STOPPED_EARLY),
        estimated("malformed"),
        shows=True,
    ),
    fails("a finish reason that is none", streams(*BROKEN_OFF), exact("malformed"), shows=True),
    fails(
        "a finish reason in each chunk, no [DONE]",
        streams(*ALWAYS_AT_AN_END, with_done=False),
        estimated("cut"),
        shows=True,
    ),
    recovers("a finish reason in each chunk", streams(*ALWAYS_AT_AN_END, chunk(usage=USAGE)), ANSWERS),
    recovers("heartbeats that are events", has_heartbeats, ANSWERS),
    recovers("usage in each chunk", streams(*COUNTS_AS_IT_GOES), ANSWERS),
    fails("an empty stream", streams(with_done=False), estimated("cut")),
    fails("a stream of [DONE] alone", streams(), estimated("cut")),
    fails("a stream of empty choices", streams(chunk(), chunk(usage=USAGE)), exact("cut")),
    fails(
        "null content, streamed",
        streams(chunk(delta(role="assistant", content=None)), chunk(delta(finish="stop"), usage=USAGE)),
        exact("malformed"),
    ),
    fails("JSON called a stream", says_bytes(json.dumps(WHOLE).encode(), "text/event-stream"), estimated("cut")),
    recovers("a stream called JSON", says_bytes(b"".join(map(as_event, EVENTS))), ANSWERS),
    recovers("a stream where JSON was asked for", refuses_streams_but_streams, free("stream_refused"), ANSWERS),
    fails("a zipped stream that ends early", zipped_stream_that_ends_early, estimated("cut"), shows=True),
]

ANSWERS_IN_ONE_PIECE = [
    recovers("JSON where a stream was asked for", says_json(200, WHOLE), ANSWERS),
    fails("HTML with 200", says_bytes(HTML, "text/html"), estimated("malformed")),
    fails("an empty body", says_bytes(b""), estimated("malformed")),
    fails("empty choices", says_json(200, UNUSED), exact("malformed")),
    fails("null content", says_json(200, WITHOUT_TEXT), exact("malformed")),
    fails(
        "a finish reason that is none, in one piece",
        says_json(200, completion(PIECES[0], finish="network_error")),
        exact("malformed"),
    ),
    fails("half of JSON", says_bytes(json.dumps(WHOLE).encode()[:60]), estimated("malformed")),
    fails("an error object with 200", says_json(200, told("server_error")), estimated("malformed")),
    fails("204", says_nothing, free("malformed")),
    fails(
        "gzip that ends early",
        says_bytes(gzip.compress(json.dumps(WHOLE).encode())[:-60], content_encoding="gzip"),
        estimated("cut"),
    ),
    fails("gzip that is none", says_bytes(json.dumps(WHOLE).encode(), content_encoding="gzip"), estimated("cut")),
]

FAULTS = (
    *CONNECTIONS,
    *RATE_LIMITS,
    *STATUSES,
    *REFUSALS,
    *TIMES,
    *ANSWERS_IN_PIECES,
    *ANSWERS_IN_ONE_PIECE,
)
