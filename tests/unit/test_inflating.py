"""A compressed body comes out as it went in, a bounded piece at a time."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.inflating import PIECE_BYTES, Inflater

COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress}


def pieces(body, *, size=65_536):
    inflater = Inflater()
    found = [piece for at in range(0, len(body), size) for piece in inflater.pieces(body[at : at + size])]
    inflater.end()
    return found


@pytest.mark.parametrize("coding", COMPRESSED)
@given(text=st.binary(max_size=2000), repeated=st.integers(1, 300), size=st.integers(1, 5000))
def test_it_comes_out_as_it_went_in(coding, text, repeated, size):
    body = text * repeated
    assert b"".join(pieces(COMPRESSED[coding](body), size=size)) == body


def test_however_much_a_little_holds_no_piece_is_large():
    found = pieces(gzip.compress(bytes(20_000_000)))
    assert sum(map(len, found)) == 20_000_000
    assert max(map(len, found)) <= PIECE_BYTES


@given(st.binary(min_size=1, max_size=500), st.data())
def test_what_breaks_off_is_no_body(text, data):
    whole = gzip.compress(text)
    with pytest.raises(zlib.error):
        pieces(whole[: data.draw(st.integers(0, len(whole) - 1))])
