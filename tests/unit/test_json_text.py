"""JSON in which a decimal stays a decimal."""

import json
import math
from decimal import Context, Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_router import json_text

EXACTLY = Context(prec=99)

# Up to the 38 digits that a number in DynamoDB may have.
decimals = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent, EXACTLY),
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-40, 2),
)
texts = st.text(st.characters(exclude_categories=[]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | decimals | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("0.000045", b"0.000045"),
        ("4.5E-5", b"0.000045"),
        ("0.10", b"0.1"),
        ("1E+3", b"1000"),
        ("100", b"100"),
        ("0E-12", b"0"),
        ("-0", b"0"),
        ("-1.50", b"-1.5"),
        ("0.1234567890123456789012345678901234567", b"0.1234567890123456789012345678901234567"),
    ],
)
def test_a_decimal_is_written_as_a_plain_literal(text, literal):
    assert json_text.encode(Decimal(text)) == literal


@settings(deadline=None)
@given(decimals)
def test_no_digit_of_a_decimal_is_lost_and_no_exponent_written(value):
    written = json_text.encode(value)
    assert set(written) <= set(b"-.0123456789")
    assert json_text.decode(written) == value


@pytest.mark.parametrize("text", ["1e401", "-1e-401", "1e999999999", "1e99999999999999999999", "0." + "1" * 1000])
def test_a_number_past_all_meaning_is_not_read(text):
    with pytest.raises(ValueError, match="number"):
        json_text.decode(text.encode())


@settings(deadline=None)
@given(st.lists(st.from_regex(r"-?[1-9]\.?[0-9]{1,5}[eE][-+]?[0-9]{1,3}", fullmatch=True)))
def test_no_number_is_written_much_longer_than_it_was_read(texts):
    """A short body must not become a long one upstream."""
    body = f"[{','.join(texts)}]".encode()
    try:
        value = json_text.decode(body)
    except ValueError:
        return
    written = json_text.encode(value)
    assert len(written) <= 10 * len(body)
    assert json_text.decode(written) == value


@pytest.mark.parametrize("text", ["0.1", "0.30000000000000004", "1e-7", "2.50", "123456789.123456789123456789"])
def test_a_number_with_a_point_is_read_as_the_decimal_it_says(text):
    found = json_text.decode(text.encode())
    assert isinstance(found, Decimal)
    assert found == Decimal(text)


@settings(deadline=None)
@given(values)
@example("\ud800")
def test_what_is_written_reads_back_the_same(value):
    assert json_text.decode(json_text.encode(value)) == value


@settings(deadline=None)
@given(values)
@example({"\udfff": "\ud800"})
def test_what_is_written_is_json_in_utf_8_to_any_reader(value):
    json.loads(json_text.encode(value).decode("utf-8"))


def test_text_is_written_compactly_and_as_it_is():
    assert json_text.encode({"a": ["é", 1], "b": None}) == '{"a":["é",1],"b":null}'.encode()


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"), math.nan, math.inf, -math.inf]
)
def test_what_is_no_number_is_not_written(value):
    with pytest.raises((TypeError, ValueError)):
        json_text.encode({"cost": value})


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j])
def test_what_has_no_json_form_is_not_written(value):
    with pytest.raises(TypeError):
        json_text.encode(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b"NaN",
        b'{"a": NaN}',
        b"Infinity",
        b"-Infinity",
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b"01",
        b"<html></html>",
        b"9" * 5000,
        b"1e99999999999999999999",
        b"1e-99999999999999999999",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_json_is_one_kind_of_error(body):
    with pytest.raises(ValueError):  # noqa: PT011  # the words are the parser's
        json_text.decode(body)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b'["[{", 1, [', b"]]")],
)
def test_nesting_is_read_up_to_a_depth_that_all_that_walks_through_it_can_take(opening, closing):
    """Whoever reads on recurses: merging, weighing, the encoder."""
    at_most = json_text.DEPTH_AT_MOST // max(closing.count(b"]") + closing.count(b"}"), 1)
    assert json_text.decode(opening * at_most + b"0" + closing * at_most)
    with pytest.raises(ValueError, match="nested"):
        json_text.decode(opening * (at_most + 1) + b"0" + closing * (at_most + 1))


def test_many_brackets_side_by_side_are_no_depth():
    body = b"[" + b",".join([b'{"a":[[]]}'] * 1000) + b"]"
    assert len(json_text.decode(body)) == 1000


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_are_any_other_error(body):
    try:
        json_text.decode(body)
    except ValueError:
        return


def test_what_is_json_already_is_written_as_it_is():
    value = {"a": json_text.literal(json_text.encode([Decimal("1.50"), "é"]))}
    assert json_text.encode(value) == '{"a":[1.5,"é"]}'.encode()
