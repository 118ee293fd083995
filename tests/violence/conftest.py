"""One emulated AWS, and one stage on it, for all cases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infra.bench.fleet.members import Emulator
from infra.local import aws_resources
from violence.stage import built


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory):
    emulator = Emulator(tmp_path_factory.mktemp("aws"))
    emulator.start()
    aws_resources.prepare(emulator.url, with_key=False, now=datetime.now(UTC))
    yield emulator.url
    emulator.kill()


@pytest.fixture(scope="session")
def whole_stage(aws_url, tmp_path_factory):
    with built(tmp_path_factory.mktemp("stage"), aws_url) as stage:
        yield stage


@pytest.fixture
def stage(whole_stage):
    whole_stage.begin()
    return whole_stage
