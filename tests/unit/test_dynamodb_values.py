"""Python values as DynamoDB's, held against boto3's own conversion."""

from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from llm_router import dynamodb_values

numbers = st.integers(-(10**37), 10**37) | st.decimals(
    min_value=Decimal("-1e20"), max_value=Decimal("1e20"), places=15, allow_nan=False
)
leaves = st.none() | st.booleans() | st.text() | numbers
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_a_value_is_written_as_boto3_writes_it(value):
    assert dynamodb_values.typed(value) == TypeSerializer().serialize(value)


@given(values)
def test_a_value_is_read_as_boto3_reads_it(value):
    written = TypeSerializer().serialize(value)
    assert dynamodb_values.plain(written) == TypeDeserializer().deserialize(written) == value


REFUSED = [1.5, float("nan"), Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), object(), {1}, b"x"]


@pytest.mark.parametrize("value", REFUSED, ids=repr)
def test_what_dynamodb_has_no_type_for_is_refused(value):
    with pytest.raises(TypeError):
        dynamodb_values.typed(value)


@pytest.mark.parametrize("value", [10**38 + 1, Decimal("1e-200"), Decimal("1e200"), Decimal("1" * 39)])
def test_a_number_that_would_be_rounded_is_refused(value):
    for write in (dynamodb_values.typed, TypeSerializer().serialize):
        with pytest.raises(ArithmeticError):
            write(value)


@pytest.mark.parametrize("attribute", [{"B": b"x"}, {"SS": ["x"]}, {"NS": ["1"]}])
def test_a_type_that_is_never_written_is_not_read(attribute):
    with pytest.raises(TypeError):
        dynamodb_values.plain(attribute)
