"""`make run` as a newcomer meets it: one command, an answer, figures that are exact, data that stays."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import boto3
import pytest

from e2e.local_run import ROOT, environment, is_running, paste, refused, started, until
from infra.local import aws_resources
from llm_router import journal_items
from provider_server import always, completion, error, serving, slowly

SEVEN_KEYS = {"provider", "modelUsed", "tokens", "cost", "latency", "response", "status"}

DEAR_FIRST = """
providers:
  - {{name: dear, base_url: {dear}, auth: none, models: [{{name: big, price: {{input: 5, output: 10}}}}]}}
  - {{name: cheap, base_url: {cheap}, auth: none, models: [{{name: small, price: {{input: 0.05, output: 0.1}}}}]}}
"""


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def own_file(tmp_path):
    """A server of the reader's own, named in a file in which the dearer candidate comes first."""
    with serving() as server:
        server.add("dear", always(completion("Dear.")))
        server.add("cheap", always(completion("Cheap.")))
        file = tmp_path / "mine.yaml"
        file.write_text(DEAR_FIRST.format(dear=server.base_url("dear"), cheap=server.base_url("cheap")))
        yield server, str(file)


def records(run):
    session = boto3.Session(aws_resources.ACCESS_KEY_ID, aws_resources.SECRET_ACCESS_KEY, region_name="us-east-1")
    client = session.client("dynamodb", endpoint_url=run.noted()["endpoint"])
    pages = client.get_paginator("scan").paginate(TableName=run.noted()["ledger_table"])
    items = [item for page in pages for item in page["Items"]]
    return [journal_items.record_of(item) for item in items if item["pk"]["S"].startswith("journal#")]


def test_the_printed_line_answers_and_is_counted_at_once_and_shown_within_seconds(state_dir):
    with started(state_dir) as run:
        answer = paste(run.curl_line)
        assert answer.keys() >= SEVEN_KEYS
        assert answer["status"] == "success"
        stats = run.get("/stats").json()
        assert stats["totalRequests"] == 1
        assert stats["totalCost"] == answer["cost"] > 0
        assert stats["totalTokens"] == answer["tokens"]
        page = run.get("/")
        assert '<meta name="generate-url" content="/generate">' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        until(lambda: run.get("/stats.json").json()["totalRequests"] == 1, within_s=20)


def test_a_failover_can_be_seen_with_nothing_but_the_demonstrations(state_dir):
    with started(state_dir) as run:
        answers = [run.generate({"prompt": "Hello"}).json() for _ in range(3)]
        assert {answer["status"] for answer in answers} == {"success"}
        assert [len(answer["attempts"]) for answer in answers] == [1, 1, 2]
        assert run.get("/stats").json()["totalCost"] == sum(answer["cost"] for answer in answers)


def test_the_figures_are_still_there_after_ctrl_c_and_another_start(state_dir):
    with started(state_dir) as run:
        for _ in range(4):
            run.generate({"prompt": "Hello"})
        before, pids = run.get("/stats").json(), run.pids()
        run.interrupt()
        assert "Stopped." in run.output
        assert not any(is_running(pid) for pid in pids)
    for _ in range(2):
        with started(state_dir) as run:
            after = run.get("/stats").json()
            assert {**after, "asOf": None} == {**before, "asOf": None}


def test_a_provider_of_the_readers_own_is_used_cheapest_first(state_dir, own_file):
    server, file = own_file
    with started(state_dir, PROVIDERS_FILE=file) as run:
        answer = run.generate({"prompt": "Hello"}).json()
        assert (answer["provider"], answer["response"]) == ("cheap", "Cheap.")
        assert answer["cost"] == Decimal("0.000001")
        server.providers["cheap"].script = always(error(503))
        assert run.generate({"prompt": "Hello"}).json()["provider"] == "dear"
        assert "demo" not in run.output


def test_many_callers_at_once_are_counted_to_the_cent(state_dir, own_file):
    _, file = own_file
    with started(state_dir, PROVIDERS_FILE=file) as run, ThreadPoolExecutor(32) as callers:
        answers = list(callers.map(lambda _: run.generate({"prompt": "Hello"}).json(), range(200)))
        stats = run.get("/stats").json()
        assert stats["totalRequests"] == 200
        assert stats["totalCost"] == sum(answer["cost"] for answer in answers)
        assert len({answer["requestId"] for answer in answers}) == 200


def test_after_sigkill_nothing_that_a_provider_answered_is_missing(state_dir, own_file):
    """Every process is killed in the middle of requests; the provider's own count says what it has billed."""
    server, file = own_file
    cheap = server.providers["cheap"]
    cheap.script = slowly(completion("Cheap."), seconds=0.3)
    answered = []

    def call(run):
        try:
            answered.append(run.generate({"prompt": "Hello"}).json())
        except (OSError, http.client.HTTPException):
            return  # its router was killed

    with started(state_dir, PROVIDERS_FILE=file) as run:
        callers = [threading.Thread(target=call, args=(run,)) for _ in range(24)]
        for caller in callers[:12]:
            caller.start()
        until(lambda: cheap.billed >= 12, within_s=30)
        for caller in callers[12:]:
            caller.start()
        until(lambda: len(cheap.calls) >= 18, within_s=30)
        for pid in [run.supervisor(), *run.pids()]:
            os.kill(pid, signal.SIGKILL)
        for caller in callers:
            caller.join(30)
    assert len(answered) >= 12
    with started(state_dir, PROVIDERS_FILE=file) as run:
        kept = {record.request_id: record for record in records(run)}
        settled = [record for record in kept.values() if record.state == "settled"]
        assert {answer["requestId"] for answer in answered} <= {record.request_id for record in settled}
        assert len(kept) >= len(cheap.calls)
        stats = run.get("/stats").json()
        assert stats["totalRequests"] + stats["pending"] == len(kept)


def test_a_supervisor_that_is_killed_leaves_nothing_running(state_dir):
    with started(state_dir) as run:
        pids = run.pids()
        os.kill(run.supervisor(), signal.SIGKILL)
        until(lambda: not any(is_running(pid) for pid in pids), within_s=30)
        port = run.url.rpartition(":")[2]
    with started(state_dir, PORT=port) as run:
        assert run.get("/health").json() == {"status": "ok"}


def test_a_part_that_dies_ends_the_run_and_is_named(state_dir):
    with started(state_dir) as run:
        processes = run.noted()["processes"]
        os.kill(processes["server"], signal.SIGKILL)
        assert run.process.wait(30) != 0
        until(lambda: "server has ended" in run.output, within_s=5)
        assert not any(is_running(pid) for pid in processes.values())


def test_a_taken_port_is_said_clearly(state_dir):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, output = refused(state_dir, PORT=port)
    assert code != 0
    assert f"127.0.0.1:{port} can't be used" in output
    assert "PORT=" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "mine.yaml"),
        ("providers: [", "mine.yaml"),
        ("providers: [{name: a, models: [{name: m, api_key: x}]}, {base_url: 7}]", "problems:"),
    ],
    ids=["missing", "no yaml", "wrong in several ways"],
)
def test_a_broken_providers_file_gets_one_clear_report(state_dir, tmp_path, text, told):
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    code, output = refused(state_dir, PROVIDERS_FILE=str(file))
    assert code != 0
    assert told in output
    assert "Traceback" not in output


@pytest.mark.parametrize("port", ["http", "0", "99999", "²", "٣"])
def test_a_port_that_is_none_is_said_clearly(state_dir, port):
    code, output = refused(state_dir, PORT=port)
    assert code != 0
    assert "give a number from 1 to 65535" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machines_is_no_taken_port(state_dir, host):
    code, output = refused(state_dir, HOST=host)
    assert code != 0
    assert f"{host}:" in output
    assert "HOST is an address of this machine" in output
    assert "running already" not in output


def test_a_second_run_on_the_same_data_is_refused_before_it_touches_anything(state_dir):
    with started(state_dir) as run:
        before = {path.name: path.read_bytes() for path in [state_dir / "run.json", state_dir / "providers.yaml"]}
        code, output = refused(state_dir, GROQ_API_KEY="made-up-for-this-test")
        assert code != 0
        assert "Another make run is using" in output
        assert {name: (state_dir / name).read_bytes() for name in before} == before
        assert paste(run.curl_line)["status"] == "success"


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_folder_for_the_data_that_is_a_file_is_said_clearly(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    code, output = refused(tmp_path / "file" / below)
    assert code != 0
    assert "STATE_DIR: " in output
    assert "Traceback" not in output
    assert (tmp_path / "file").read_text() == "mine"


def test_a_snapshot_that_cannot_be_read_is_told_in_the_terminal(state_dir):
    with started(state_dir) as run:
        run.interrupt()
    generation = (state_dir / "aws" / "CURRENT").read_text()
    (state_dir / "aws" / f"snapshot-{generation}" / "dynamodb.json").write_text("{")
    code, output = refused(state_dir)
    assert code != 0
    assert f"snapshot-{generation}/dynamodb.json can't be read" in output
    assert "Traceback" not in output


def test_an_aws_profile_of_the_callers_is_none_of_its_business(state_dir):
    with started(state_dir, AWS_PROFILE="nope", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_REGION="mars") as run:
        assert paste(run.curl_line)["status"] == "success"


def test_a_relative_providers_file_is_noted_with_its_whole_path(state_dir, own_file):
    _, file = own_file
    with started(state_dir, PROVIDERS_FILE=os.path.relpath(file, ROOT)) as run:
        assert run.generate({"prompt": "Hello"}).json()["provider"] == "cheap"
        assert Path(run.noted()["providers_file"]).is_absolute()


def test_interrupting_again_and_again_does_not_cut_the_ending_short(state_dir):
    with started(state_dir) as run:
        pids = run.pids()
        for _ in range(5):
            os.kill(run.supervisor(), signal.SIGINT)
            time.sleep(0.05)
        run.process.wait(30)
        until(lambda: "Stopped." in run.output, within_s=5)
        assert "Traceback" not in run.output
        assert not any(is_running(pid) for pid in pids)
        assert not (state_dir / "run.json").exists()


def test_an_interruption_while_it_loads_is_no_traceback(tmp_path, state_dir):
    """The module that takes longest to load is replaced by one that says that it is being loaded, and stays there."""
    loading = tmp_path / "loading"
    (tmp_path / "boto3.py").write_text(
        f"import pathlib, time\npathlib.Path({str(loading)!r}).touch()\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local.run"],
        cwd=ROOT,
        env=environment(STATE_DIR=str(state_dir), PYTHONPATH=f"{tmp_path}{os.pathsep}layers/shared{os.pathsep}."),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: loading.exists() or process.poll() is not None, within_s=30)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert "Stopped." in output
    assert "Traceback" not in output


def test_a_record_that_could_not_be_written_is_told_and_kept_over_starts(state_dir, own_file):
    server, file = own_file
    server.providers["cheap"].script = slowly(completion("Cheap."), seconds=1.0)
    with started(state_dir, PROVIDERS_FILE=file) as run:
        caller = threading.Thread(target=run.generate, args=({"prompt": "Hello"},))
        caller.start()
        until(lambda: len(server.providers["cheap"].calls) == 1, within_s=10)
        os.kill(run.noted()["processes"]["emulator"], signal.SIGSTOP)
        until(lambda: "1 usage record was not taken" in run.output, within_s=60)
        os.kill(run.noted()["processes"]["emulator"], signal.SIGCONT)
        caller.join(60)
    log = state_dir / "log" / "server.log"
    assert "ledger.unwritten" in log.read_text()
    with started(state_dir, PROVIDERS_FILE=file) as run:
        assert "ledger.unwritten" in log.read_text()
        assert "not taken" not in run.output


def test_nothing_of_the_callers_settings_reaches_a_run_under_test(monkeypatch):
    for name in ("PROVIDERS_FILE", "HOST", "REQUIRE_CLIENT_KEY", "GATEWAY_TIMEOUT_S", "LEDGER_SHARDS"):
        monkeypatch.setenv(name, "nonsense")
    monkeypatch.setenv("MAX_BODY_BYTES", "1")
    monkeypatch.setenv("GROQ_API_KEY", "nonsense")
    assert "nonsense" not in environment().values()
    assert "MAX_BODY_BYTES" not in environment()
    assert environment(HOST="127.0.0.1")["HOST"] == "127.0.0.1"


def test_a_client_key_is_asked_for_when_wished_and_made_once(state_dir):
    with started(state_dir, REQUIRE_CLIENT_KEY="true") as run:
        assert run.generate({"prompt": "Hello"}).status == 401
        assert run.get("/stats").status == 401
        assert run.get("/health").status == 200
        assert paste(run.curl_line)["status"] == "success"
        assert 'content="/generate"' not in run.get("/").text
    with started(state_dir, REQUIRE_CLIENT_KEY="true") as run:
        assert "Bearer" not in run.output


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"host": "evil.example"}],
    ids=["another origin", "no origin", "another name for this machine"],
)
def test_a_page_from_elsewhere_cannot_spend(state_dir, own_file, headers):
    server, file = own_file
    with started(state_dir, PROVIDERS_FILE=file) as run:
        assert run.generate({"prompt": "Hello"}, **headers).status == 403
        assert run.generate({"prompt": "Hello"}, origin=run.url).status == 200
        assert len(server.providers["cheap"].calls) == 1


def test_a_body_of_seven_megabytes_is_refused_over_real_http(state_dir):
    with started(state_dir) as run:
        answer = run.generate({"prompt": "a" * 7_000_000})
        assert (answer.status, answer.json()["error"]["code"]) == (413, "request_too_large")
