"""The embedded AWS as a process: what it was told is there again, however it ended and whatever was damaged."""

from __future__ import annotations

import os
import shutil
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local import aws_resources, processes

TABLE = "things"


@contextmanager
def emulator(directory, *, compact_at_bytes=16_000_000):
    """Ready to be asked. Killed at the end unless the test has ended it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with processes.listening("127.0.0.1", 0) as listens:
        endpoint = f"http://127.0.0.1:{listens.getsockname()[1]}"
        child = processes.start(
            "infra.local.emulator",
            ["--fd", str(listens.fileno()), "--state-dir", str(directory), "--compact-at-bytes", str(compact_at_bytes)],
            environ=environ | {"PYTHONPATH": os.pathsep.join(["layers/shared", "."])},
            log=directory.parent / "emulator.log",
            fd=listens.fileno(),
        )
    try:
        processes.until(lambda: child.has_ended or processes.answers(endpoint), limit_s=60)
        yield child, client("dynamodb", endpoint)
    finally:
        child.process.kill()
        child.process.wait()
        child.process.stdin.close()


def client(service, endpoint):
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=endpoint, region_name=aws_resources.REGION, config=config)


def make_table(dynamodb):
    dynamodb.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def put(dynamodb, names):
    for name in names:
        dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": str(name)}, "ballast": {"S": "x" * 1000}})


def names(dynamodb):
    return {int(item["pk"]["S"]) for item in dynamodb.scan(TableName=TABLE)["Items"]}


def files(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    directory = tmp_path_factory.mktemp("grown") / "aws"
    with emulator(directory) as (child, dynamodb):
        make_table(dynamodb)
        put(dynamodb, range(5))
        processes.stop(child)
    with emulator(directory) as (child, dynamodb):
        put(dynamodb, range(5, 10))
        processes.stop(child)
    with emulator(directory) as (_, dynamodb):
        put(dynamodb, range(10, 15))
    return directory


@pytest.fixture
def two_generations(tmp_path, grown):
    """Things 0 to 9 are in the snapshot, 10 to 14 were told after it; the generation before is there."""
    return shutil.copytree(grown, tmp_path / "aws")


def test_all_that_was_told_is_there_after_orderly_stops_and_a_kill(two_generations):
    with emulator(two_generations) as (_, dynamodb):
        assert names(dynamodb) == set(range(15))


def test_an_orderly_stop_leaves_nothing_to_tell_again(tmp_path):
    directory = tmp_path / "aws"
    with emulator(directory) as (child, dynamodb):
        make_table(dynamodb)
        put(dynamodb, range(3))
        processes.stop(child)
        assert child.process.returncode == 0
    assert (directory / "CURRENT").read_text() == "1"
    assert (directory / "snapshot-1" / "dynamodb.json").exists()
    assert not (directory / "requests-1.jsonl").exists()


def test_the_journal_is_kept_short_while_the_emulator_runs_and_a_kill_loses_nothing(tmp_path):
    directory = tmp_path / "aws"
    with emulator(directory, compact_at_bytes=20_000) as (child, dynamodb):
        make_table(dynamodb)
        put(dynamodb, range(100))
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
    assert int((directory / "CURRENT").read_text()) >= 2
    assert sum(path.stat().st_size for path in directory.glob("requests-*")) < 400_000
    newest = directory / f"requests-{(directory / 'CURRENT').read_text()}.jsonl"
    assert not newest.exists() or newest.read_bytes().count(b"\n") < 90
    with emulator(directory) as (_, dynamodb):
        assert names(dynamodb) == set(range(100))


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_text('{"half": '),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\xff\xfe\x00"),
        lambda file: file.write_text('{"__ministack_format__": 99, "payload": {}}'),
        lambda file: file.write_text('{"__ministack_format__": 2, "payload": [1]}'),
        lambda file: file.unlink(),
    ],
    ids=["half a file", "empty", "no text", "of a newer version", "of another shape", "missing"],
)
def test_a_snapshot_that_cannot_be_read_ends_the_start_and_changes_nothing(two_generations, damage):
    generation = (two_generations / "CURRENT").read_text()
    damage(two_generations / f"snapshot-{generation}" / "dynamodb.json")
    before = files(two_generations)
    with emulator(two_generations) as (child, _):
        assert child.process.wait() == 1
        told = child.last_words()
    assert f"snapshot-{generation}/dynamodb.json" in told
    assert "Nothing was changed" in told
    assert "Traceback" not in told
    assert files(two_generations) == before
    (way_back,) = [line.partition("Use it: ")[2] for line in told.splitlines() if "Use it: " in line]
    assert os.system(way_back) == 0  # noqa: S605  # the advice that was printed, to the letter
    for _ in range(2):
        with emulator(two_generations) as (_, dynamodb):
            assert names(dynamodb) == set(range(15))


def test_a_disk_that_takes_no_snapshot_costs_nothing(tmp_path):
    directory = tmp_path / "aws"
    with emulator(directory, compact_at_bytes=5_000) as (child, dynamodb):
        make_table(dynamodb)
        (directory / "snapshot.new").write_text("in the way")
        put(dynamodb, range(20))
        assert not child.has_ended
        assert "could not be saved" in child.last_words()
    (directory / "snapshot.new").unlink()
    with emulator(directory) as (_, dynamodb):
        assert names(dynamodb) == set(range(20))


def test_a_damaged_line_is_named_with_the_way_out(two_generations):
    file = two_generations / f"requests-{(two_generations / 'CURRENT').read_text()}.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"garbage\n", *lines[2:]]))
    with emulator(two_generations) as (child, _):
        assert child.process.wait() == 1
        told = child.last_words()
    assert f"{file}, line 3" in told
    assert "Traceback" not in told
    (way_out,) = [line.partition("start again: ")[2] for line in told.splitlines() if "start again: " in line]
    assert os.system(way_out) == 0  # noqa: S605  # the advice that was printed, to the letter
    with emulator(two_generations) as (_, dynamodb):
        assert names(dynamodb) == set(range(15))


@pytest.mark.parametrize("current", [None, b"", b"\x00\x00", b"seven", b"7"])
def test_a_lost_current_never_means_an_empty_start(two_generations, current):
    file = two_generations / "CURRENT"
    generation = file.read_text()
    file.unlink() if current is None else file.write_bytes(current)
    before = files(two_generations)
    with emulator(two_generations) as (child, _):
        assert child.process.wait() == 1
        told = child.last_words()
    assert f"echo {generation} > '{file}'" in told
    assert "Traceback" not in told
    assert files(two_generations) == before
    file.write_text(generation + "\n")
    with emulator(two_generations) as (_, dynamodb):
        assert names(dynamodb) == set(range(15))


def test_a_lost_snapshot_folder_is_named(two_generations):
    shutil.rmtree(two_generations / f"snapshot-{(two_generations / 'CURRENT').read_text()}")
    with emulator(two_generations) as (child, _):
        assert child.process.wait() == 1
        assert "which is missing" in child.last_words()


def test_lambda_and_pages_of_browsers_get_nothing_from_it(tmp_path):
    with emulator(tmp_path / "aws") as (_, dynamodb):
        endpoint = dynamodb.meta.endpoint_url
        with pytest.raises(ClientError, match="AccessDenied"):
            client("lambda", endpoint).list_functions()
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            target = {"x-amz-target": "DynamoDB_20120810.ListTables", "content-type": "application/x-amz-json-1.0"}
            request = urllib.request.Request(endpoint, data=b"{}", headers=target | headers)  # noqa: S310  # our own
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
            with refused.value as answer:
                assert answer.code == 403
                assert "access-control-allow-origin" not in {name.lower() for name in answer.headers}
