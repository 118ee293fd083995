"""What holds for every test: no network but this machine, no real account, no provider key of whoever runs them."""

from __future__ import annotations

import os

import hypothesis
import pytest
from pytest_socket import socket_allow_hosts

LOOPBACK = ["127.0.0.1", "::1"]
AWS_NOWHERE = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

for name in [name for name in os.environ if name.startswith("AWS_") or name.endswith("_API_KEY")]:
    del os.environ[name]
os.environ.update(AWS_NOWHERE)

# How long an example takes says nothing on a shared machine.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def only_this_machine():
    """A connection to anywhere else is an error, so that no test can reach a real provider and spend."""
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
