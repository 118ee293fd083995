"""`make invoke`: what is decided before a container starts and after it has answered."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from infra.sam import engine, fresh_build, invoke, local_stack
from infra.sam.build import FUNCTIONS, LAYERS
from infra.sam.local_stack import LocalRun
from infra.sam.obstacles import ObstacleError
from infra.sam.relay import relaying

ROOT = Path(__file__).parents[2]
EVENTS = sorted((ROOT / "events").glob("*.json"))
BUILT = yaml_parse((ROOT / "template.yaml").read_text())

RUN = LocalRun(
    url="http://127.0.0.1:8080",
    endpoint="http://127.0.0.1:4566",
    ledger_table="the-ledger",
    state_table="the-state",
    page_bucket="the-page",
    providers_file=Path("providers.yaml"),
)
PROVIDERS = {
    "providers": [
        {"name": "demo", "base_url": "http://127.0.0.1:9000/demo/v1", "models": [{"name": "m"}]},
        {"name": "mine", "base_url": "http://localhost/v1", "models": [{"name": "m"}]},
        {"name": "ollama", "models": [{"name": "m"}]},
        {"name": "groq", "models": [{"name": "m"}]},
        {"name": "far", "base_url": "https://llm.example.com/v1", "models": [{"name": "m"}]},
    ]
}
HOST = "172.17.0.1"


def api(status, body="{}"):
    return {"statusCode": status, "headers": {}, "body": body}


REPORT = {"records": 3, "behind_s": 0.0, "as_of": "2026-11-24T03:00:00.000Z"}
CRASH = {"errorMessage": "no such table", "errorType": "StoreError", "stackTrace": []}


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.name)
def test_each_event_goes_to_the_function_that_would_get_it_on_aws(file):
    event = json.loads(file.read_text())
    source = "StatsFunction" if event.get("source") == "aws.scheduler" else "RouterFunction"

    assert invoke.function_for(event) == source


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("generate", api(200)),
        ("generate-options", api(200)),
        ("generate-bad-body", api(400)),
        ("generate-broken-json", api(400)),
        ("generate-unknown-model", api(400)),
        ("schedule", REPORT),
    ],
)
def test_an_answer_that_the_name_promises_is_kept(name, answer):
    assert invoke.broken_promise(name, answer) is None


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("generate", api(500, "oh"), "status 500 instead of 200: oh"),
        ("generate", api(400), "status 400 instead of 200"),
        ("generate-bad-body", api(200), "status 200 instead of 400"),
        ("generate", REPORT, "status None instead of 200"),
        ("generate", CRASH, "StoreError: no such table"),
        ("generate-bad-body", CRASH, "StoreError: no such table"),
        ("generate", None, "no answer"),
        ("schedule", CRASH, "StoreError: no such table"),
        ("schedule", api(200), "no report"),
        ("schedule", None, "no answer"),
    ],
)
def test_any_other_answer_breaks_the_promise_and_says_how(name, answer, said):
    assert said in invoke.broken_promise(name, answer)


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ('{"statusCode": 200}\n', {"statusCode": 200}),
        ('some noise\n{"statusCode": 200}', {"statusCode": 200}),
        ("", None),
        ("\n", None),
        ("Function timed out\n", None),
    ],
)
def test_the_answer_is_the_last_line_of_sam(output, answer):
    assert invoke.answer_in(output) == answer


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (api(200, '{"status": "success"}'), {"status": "success"}),
        (api(204, ""), None),
        (api(200, "plain words"), "plain words"),
        (REPORT, REPORT),
    ],
)
def test_the_body_is_shown_as_its_caller_would_read_it(answer, shown):
    assert invoke.shown(answer) == shown


STARTED_HERE = FUNCTIONS.keys() - {local_stack.NOT_HERE}


def test_what_listens_on_this_machine_is_written_down_as_containers_reach_it():
    local = local_stack.providers(PROVIDERS, host=HOST)

    assert [row.get("base_url") for row in local["providers"]] == [
        f"http://{HOST}:9000/demo/v1",
        f"http://{HOST}:80/v1",
        f"http://{HOST}:11434/v1",
        None,
        "https://llm.example.com/v1",
    ]
    assert PROVIDERS["providers"][0]["base_url"] == "http://127.0.0.1:9000/demo/v1"


def test_containers_are_let_through_to_the_emulator_and_the_local_providers_only():
    assert local_stack.targets(RUN, PROVIDERS) == {
        4566: ("127.0.0.1", 4566),
        9000: ("127.0.0.1", 9000),
        80: ("localhost", 80),
        11434: ("localhost", 11434),
    }


def test_every_variable_of_a_local_function_is_declared_because_sam_passes_no_other():
    local = local_stack.template(BUILT, folders={}, keys=["GROQ_API_KEY"])
    shared = set(BUILT["Globals"]["Function"]["Environment"]["Variables"])
    own = {name: set(local["Resources"][name]["Properties"]["Environment"]["Variables"]) for name in STARTED_HERE}
    given = set(local_stack.values(RUN, host=HOST))
    always_passed = {"AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}

    assert given - always_passed <= shared | own["RouterFunction"] | own["StatsFunction"]
    assert {"PROVIDERS_FILE", "AWS_ENDPOINT_URL", "GROQ_API_KEY"} <= own["RouterFunction"]
    assert {"PAGE_BUCKET", "AWS_ENDPOINT_URL"} <= own["StatsFunction"]


def test_the_stats_function_gets_no_provider_key():
    local = local_stack.template(BUILT, folders={}, keys=["GROQ_API_KEY"])

    assert "GROQ_API_KEY" not in local["Resources"]["StatsFunction"]["Properties"]["Environment"]["Variables"]


def test_the_local_template_differs_from_the_built_one_in_folders_and_variables_and_the_function_that_needs_aws():
    local = local_stack.template(BUILT, folders={**LAYERS, **FUNCTIONS}, keys=["GROQ_API_KEY"])

    assert local_stack.NOT_HERE not in local["Resources"]
    local["Resources"][local_stack.NOT_HERE] = BUILT["Resources"][local_stack.NOT_HERE]
    for name in STARTED_HERE:
        properties = local["Resources"][name]["Properties"]
        assert properties["CodeUri"] == str(FUNCTIONS[name])
        properties["CodeUri"] = BUILT["Resources"][name]["Properties"]["CodeUri"]
        for added in ("AWS_ENDPOINT_URL", "GROQ_API_KEY"):
            properties["Environment"]["Variables"].pop(added, None)
    for name in LAYERS:
        assert local["Resources"][name]["Properties"]["ContentUri"] == str(LAYERS[name])
        local["Resources"][name]["Properties"]["ContentUri"] = BUILT["Resources"][name]["Properties"]["ContentUri"]
    assert local == BUILT


def test_of_this_shell_a_function_gets_the_providers_keys_and_nothing_else():
    template = local_stack.template(BUILT, folders={}, keys=["GROQ_API_KEY"])
    shell = {
        "PATH": "/bin",
        "GROQ_API_KEY": "a key",
        "MAX_BODY_BYTES": "1",
        "STAGE": "prod",
        "AWS_PROFILE": "real",
        "AWS_SESSION_TOKEN": "real",
    }

    environ = local_stack.sam_environ(shell, template, values=local_stack.values(RUN, host=HOST), keys=["GROQ_API_KEY"])

    assert environ["PATH"] == "/bin"
    assert environ["GROQ_API_KEY"] == "a key"
    assert environ["STAGE"] == "local"
    assert environ["AWS_ENDPOINT_URL"] == f"http://{HOST}:4566"
    assert environ["AWS_CONFIG_FILE"] == os.devnull
    assert not {"MAX_BODY_BYTES", "AWS_PROFILE", "AWS_SESSION_TOKEN"} & environ.keys()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"url": "http://127.0.0.1:8080"}'])
def test_without_a_run_the_reader_is_told_to_start_one(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)

    with pytest.raises(ObstacleError, match="make run"):
        local_stack.read_run(tmp_path)


def test_a_build_is_fresh_until_a_source_changes(tmp_path):
    source = tmp_path / "functions"
    (source / "router" / "__pycache__").mkdir(parents=True)
    handler = source / "router" / "handler.py"
    handler.write_text("one")
    first = fresh_build.fingerprint([source])

    (source / "router" / "__pycache__" / "handler.pyc").write_bytes(b"compiled")
    assert fresh_build.fingerprint([source]) == first

    handler.write_text("two")
    changed = fresh_build.fingerprint([source])
    handler.write_text("one")
    handler.rename(source / "router" / "renamed.py")
    renamed = fresh_build.fingerprint([source])
    assert len({first, changed, renamed}) == 3


def test_every_source_of_the_build_is_there():
    assert [source for source in fresh_build.SOURCES if not (ROOT / source).exists()] == []


def test_a_process_that_is_no_docker_daemon_is_never_taken_for_one():
    assert not engine._is_alive(os.getpid())
    assert not engine._is_alive(None)


def test_the_relay_carries_both_directions_to_their_ends():
    with socket.create_server(("127.0.0.1", 0)) as target, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        answering = threading.Thread(target=_answer_reversed, args=(target,))
        answering.start()
        with relaying("127.0.0.1", port, target.getsockname()), socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(b"abc" * 100_000)
            caller.shutdown(socket.SHUT_WR)
            answer = _everything(caller)
        answering.join()

    assert answer == b"cba" * 100_000


def test_the_relay_closes_the_connection_when_nobody_listens_at_its_target():
    with socket.create_server(("127.0.0.1", 0)) as gone, socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere, port = gone.getsockname(), taken.getsockname()[1]
        gone.close()
        taken.close()
        with relaying("127.0.0.1", port, nowhere), socket.create_connection(("127.0.0.1", port)) as caller:
            assert caller.recv(1) == b""


def _answer_reversed(server):
    connection, _ = server.accept()
    with connection:
        connection.sendall(_everything(connection)[::-1])


def _everything(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))
