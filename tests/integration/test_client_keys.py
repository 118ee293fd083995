"""The door: who has a key comes in, a key is never stored, and its store may be out of reach for a while."""

from __future__ import annotations

import asyncio

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from integration.conftest import MovingClock
from integration.tables import STATE_TABLE
from llm_router import client_keys
from llm_router.client_keys import CACHED_FOR_S, STALE_FOR_S, ClientKeys, Role
from llm_router.errors import InvalidApiKeyError, KeyStoreUnavailableError


class Door:
    """The keys of one process, whose store can be cut off and whose reads are counted."""

    def __init__(self, client):
        self.moving = MovingClock()
        self.keys = ClientKeys(self.store, table=STATE_TABLE, clock=self.moving.as_clock())
        self.client = client
        self.is_cut_off = False
        self.reads = 0

    def store(self):
        self.reads += 1
        if self.is_cut_off:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        return self.client

    def issue(self, **changes):
        issued = client_keys.issue(**{"role": Role.CALLER, "label": "test", "now": self.moving.at} | changes)
        item = {name: {"S": value} for name, value in issued.item.items()}
        boto3.client("dynamodb").put_item(TableName=STATE_TABLE, Item=item)
        return issued

    def authenticate(self, text):
        return asyncio.run(self.keys.authenticate(text))


@pytest.fixture
def door(dynamodb):
    return Door(dynamodb)


def test_a_key_opens_the_door_in_its_role(door):
    issued = door.issue(role=Role.OPERATOR, label="ops")
    key = door.authenticate(issued.text)
    assert (key.role, key.label) == (Role.OPERATOR, "ops")
    assert key.key_id in issued.text


def test_the_secret_is_nowhere_in_the_store(door):
    issued = door.issue()
    secret = issued.text.split("_", 2)[2]
    assert secret not in str(boto3.client("dynamodb").scan(TableName=STATE_TABLE))


def test_no_two_keys_are_alike(door):
    issued = [door.issue() for _ in range(50)]
    assert len({key.text for key in issued}) == len({key.item["pk"] for key in issued}) == 50


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "x",
        "llmr_",
        "llmr__",
        "llmr_abc",
        "llmr_abcdefgh_",
        "llmr_abcdefgh_secret",
        "sk-proj-something",
        "llmr_äbcdefgh_secret",
        "llmr_\ud800bcdefgh_\ud800",
        "llmr_" + "a" * 10_000,
    ],
)
def test_what_is_no_key_of_ours_stays_outside(door, wrong):
    door.issue()
    with pytest.raises(InvalidApiKeyError):
        door.authenticate(wrong)


def test_the_right_id_with_another_secret_stays_outside(door):
    mine, other = door.issue(), door.issue()
    forged = mine.text.rsplit("_", 1)[0][:14] + other.text[14:]
    with pytest.raises(InvalidApiKeyError):
        door.authenticate(forged)


def test_a_key_is_read_once_within_the_cache_time_and_again_after_it(door):
    issued = door.issue()
    for _ in range(3):
        door.authenticate(issued.text)
    assert door.reads == 1
    door.moving.move(CACHED_FOR_S + 0.1)
    door.authenticate(issued.text)
    assert door.reads == 2


def test_a_key_that_is_deleted_stops_working_when_the_cache_ends(door):
    issued = door.issue()
    door.authenticate(issued.text)
    boto3.client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"pk": {"S": issued.item["pk"]}})
    door.moving.move(CACHED_FOR_S + 0.1)
    with pytest.raises(InvalidApiKeyError):
        door.authenticate(issued.text)


def test_a_wrong_key_is_remembered_too_so_that_guessing_costs_the_store_nothing(door):
    for _ in range(5):
        with pytest.raises(InvalidApiKeyError):
            door.authenticate("llmr_abcdefgh_guess")
    assert door.reads == 1


def test_a_key_seen_lately_works_while_the_store_is_out_of_reach(door):
    issued = door.issue()
    door.authenticate(issued.text)
    door.is_cut_off = True
    door.moving.move(CACHED_FOR_S + 1)
    assert door.authenticate(issued.text).key_id
    door.moving.move(STALE_FOR_S)
    with pytest.raises(KeyStoreUnavailableError):
        door.authenticate(issued.text)


def test_a_key_never_seen_is_not_called_wrong_while_the_store_is_out_of_reach(door):
    issued = door.issue()
    door.is_cut_off = True
    with pytest.raises(KeyStoreUnavailableError):
        door.authenticate(issued.text)
