"""Server-sent events: whatever the line ends, whatever the cuts, the same events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import sse
from llm_router.sse import Event, EventTooLargeError, Parser


def parse_events(*chunks: bytes) -> list[Event]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + list(parser.close())


def parse(*chunks: bytes) -> list[bytes]:
    return [event.data for event in parse_events(*chunks)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b": keep-alive\n\n", []),
        (b": keep-alive\n\ndata: a\n\n", [b"a"]),
        (b"event: error\nid: 7\nretry: 3\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"", []),
    ],
)
def test_events_are_read_as_the_standard_says(stream, events):
    assert parse(stream) == events


@pytest.mark.parametrize(
    ("stream", "names"),
    [
        (b"event: error\ndata: a\n\ndata: b\n\n", [b"error", b""]),
        (b"data: a\nevent:error\n\n", [b"error"]),
        (b"event: ping\nevent: error\ndata: a\n\n", [b"error"]),
        (b"event: error\n\ndata: a\n\n", [b""]),
        (b"event\ndata: a\n\n", [b""]),
        (b"event: error\ndata: a", [b"error"]),
    ],
)
def test_an_event_has_the_name_that_was_said_last_before_its_end(stream, names):
    assert [event.name for event in parse_events(stream)] == names


lines = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12).map(str.encode)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(lines, max_size=6), line_ends, st.booleans(), st.data())
def test_events_are_the_same_wherever_the_stream_is_cut(payloads, line_end, has_comments, data):
    comment = b": still here" + line_end + line_end if has_comments else b""
    stream = b"".join(comment + b"data: " + payload + line_end * 2 for payload in payloads)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*parts) == payloads
    assert parse(*[bytes([byte]) for byte in stream]) == payloads


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: xxxxxxxxxx\n" * 20, b"x" * 100], ids=repr)
def test_an_event_without_end_is_given_up(monkeypatch, stream):
    monkeypatch.setattr(sse, "EVENT_BYTES_AT_MOST", 50)
    with pytest.raises(EventTooLargeError):
        parse(*[bytes([byte]) for byte in stream])


def test_comments_are_not_counted(monkeypatch):
    monkeypatch.setattr(sse, "EVENT_BYTES_AT_MOST", 50)
    assert parse(b": keep-alive\n" * 100, b"data: a\n\n") == [b"a"]


def test_many_events_are_not_one_too_large(monkeypatch):
    monkeypatch.setattr(sse, "EVENT_BYTES_AT_MOST", 50)
    assert len(parse(b"data: xxxxxxxxxx\n\n" * 100)) == 100
