"""The providers' keys from Parameter Store: found, cached, refreshed, and what happens when SSM does not answer."""

import asyncio
import io
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import boto3
import pytest
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import NoRegionError
from moto import mock_aws

from llm_router import provider_keys
from llm_router.clock import Clock
from llm_router.provider_keys import EnvironmentKeys, ParameterStoreKeys

KEY = "gsk_made_up_for_this_test"
THROTTLED = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
DENIED = (400, {"__type": "AccessDeniedException", "message": f"not for {KEY}"})


@dataclass
class Time:
    """A clock that moves only when told to, or when something sleeps."""

    now_s: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now_s += seconds

    @property
    def clock(self):
        return Clock(monotonic_s=lambda: self.now_s, sleep=self.sleep, jitter=lambda: 0.5)


class Log:
    def __init__(self):
        self._stream = io.StringIO()
        # Loggers of one service share the handler of the first.
        self.logger = Logger(service=f"test_provider_keys_{uuid4()}", stream=self._stream)

    @property
    def text(self):
        return self._stream.getvalue()

    @property
    def reasons(self):
        return [json.loads(line)["reason"] for line in self.text.splitlines()]


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def build(time, log):
    """The keys of stage `dev` behind a client, or behind whatever client `current[0]` is by then."""
    return lambda client: ParameterStoreKeys(client, stage="dev", clock=time.clock, logger=log.logger)


@pytest.fixture
def ssm():
    with mock_aws():
        yield counted(boto3.client("ssm", region_name="eu-central-1"))


def counted(client):
    """The client with a list of what each GetParameters asked for."""
    client.asked = []
    client.meta.events.register(
        "provide-client-params.ssm.GetParameters", lambda params, **_: client.asked.append(params["Names"])
    )
    return client


def store(ssm, provider, key=KEY, stage="dev"):
    name = f"/llm-router/{stage}/providers/{provider}/api_key"
    ssm.put_parameter(Name=name, Value=key, Type="SecureString", Overwrite=True)


def client_of(port, *, read_timeout_s=0.3):
    quick = Config(connect_timeout=0.3, read_timeout=read_timeout_s, retries={"total_max_attempts": 1})
    return counted(
        boto3.client(
            "ssm",
            region_name="eu-central-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=quick,
        )
    )


def dead_client():
    """A client of a port at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return client_of(taken.getsockname()[1])


@pytest.fixture
def scripted():
    """A server in SSM's place: `script(names)` gives each answer's status and body."""
    servers = []

    def serve(script, **client_options):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                names = json.loads(self.rfile.read(int(self.headers["content-length"])))["Names"]
                status, body = script(names)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # a client that gave up
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return client_of(server.server_port, **client_options)

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def holding(*keys):
    """The answer that holds a key for each of these parameter names."""
    return 200, {"Parameters": [{"Name": name, "Value": KEY} for name in keys], "InvalidParameters": []}


# The environment.


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GROQ_API_KEY": KEY}, {"groq": KEY}),
        ({"MY_LLM_2_API_KEY": KEY, "GROQ_API_KEY": f" {KEY}\n"}, {"my-llm-2": KEY, "groq": KEY}),
        ({"GROQ_API_KEY": "  "}, {}),
        ({"GROQ_API_KEY": "…"}, {}),
        ({"GROQ_API_KEY": "a\nb"}, {}),
        ({}, {}),
    ],
)
def test_environment_keys(environ, expected):
    assert asyncio.run(EnvironmentKeys(environ).keys(["groq", "my-llm-2"])) == expected


def test_environment_keys_say_which_variable_to_set():
    assert "MY_LLM_2_API_KEY" in EnvironmentKeys({}).how_to_store("my-llm-2")


# Parameter Store as it should be.


def test_stored_keys_are_found_and_others_are_absent(ssm, build):
    store(ssm, "groq")
    store(ssm, "openai", stage="prod")
    keys = build(lambda: ssm)
    assert asyncio.run(keys.keys(["groq", "openai"])) == {"groq": KEY}
    assert keys.problem is None
    command = "aws ssm put-parameter --name /llm-router/dev/providers/openai/api_key --type SecureString --value …"
    assert keys.how_to_store("openai") == f"no key is stored; {command}"


def test_ten_keys_are_asked_for_in_one_call(ssm, build):
    names = [f"provider-{i}" for i in range(23)]
    for name in names:
        store(ssm, name, key=f"{KEY}-{name}")
    assert asyncio.run(build(lambda: ssm).keys(names)) == {name: f"{KEY}-{name}" for name in names}
    assert sorted(len(asked) for asked in ssm.asked) == [3, 10, 10]


def test_nothing_is_asked_before_a_key_is_needed(build):
    def never():
        raise AssertionError("no key was asked for")

    assert asyncio.run(build(never).keys([])) == {}


def test_keys_are_kept_and_a_changed_one_is_found_when_they_are_refreshed(ssm, build, time):
    store(ssm, "groq")
    keys = build(lambda: ssm)
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}
    store(ssm, "groq", key="rotated")
    time.now_s += provider_keys.REFRESHED_AFTER_S - 1
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}
    assert len(ssm.asked) == 1
    time.now_s += 1
    assert asyncio.run(keys.keys(["groq"])) == {"groq": "rotated"}
    assert len(ssm.asked) == 2


def test_a_key_stored_after_the_deployment_is_found_soon(ssm, build, time):
    keys = build(lambda: ssm)
    assert asyncio.run(keys.keys(["groq"])) == {}
    store(ssm, "groq")
    time.now_s += provider_keys.ABSENT_REFRESHED_AFTER_S - 1
    assert asyncio.run(keys.keys(["groq"])) == {}
    time.now_s += 1
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}


def test_only_what_is_due_is_asked_for(ssm, build, time):
    store(ssm, "groq")
    keys = build(lambda: ssm)
    asyncio.run(keys.keys(["groq", "openai"]))
    time.now_s += provider_keys.ABSENT_REFRESHED_AFTER_S
    asyncio.run(keys.keys(["groq", "openai"]))
    assert ssm.asked[1:] == [["/llm-router/dev/providers/openai/api_key"]]


def test_concurrent_callers_share_one_reading(ssm, build):
    store(ssm, "groq")
    keys = build(lambda: ssm)

    async def many():
        return await asyncio.gather(*(keys.keys(["groq"]) for _ in range(20)))

    assert asyncio.run(many()) == [{"groq": KEY}] * 20
    assert len(ssm.asked) == 1


def test_a_value_that_can_be_no_key_is_left_out_and_said(ssm, build):
    store(ssm, "groq", key="…")
    keys = build(lambda: ssm)
    assert asyncio.run(keys.keys(["groq"])) == {}
    assert "what is stored can be no key" in keys.how_to_store("groq")
    assert keys.how_to_store("groq").endswith("--overwrite")


def test_a_line_end_that_was_stored_with_a_key_is_not_sent(ssm, build):
    store(ssm, "groq", key=f"{KEY}\n")
    assert asyncio.run(build(lambda: ssm).keys(["groq"])) == {"groq": KEY}


# Parameter Store out of reach.


def test_ssm_down_at_first_need_leaves_every_provider_out_and_says_why(build, log):
    client = dead_client()
    keys = build(lambda: client)
    assert asyncio.run(keys.keys(["groq"])) == {}
    assert keys.problem == "keys cannot be read from Parameter Store: EndpointConnectionError"
    assert keys.how_to_store("groq") == keys.problem
    assert log.reasons == ["EndpointConnectionError"]


def test_tries_end_within_three_seconds_with_jittered_pauses(build, time):
    client = dead_client()
    began_s = time.now_s
    asyncio.run(build(lambda: client).keys(["groq"]))
    assert time.now_s - began_s <= provider_keys.GIVEN_UP_AFTER_S
    assert len(client.asked) == len(time.pauses) + 1
    assert len(client.asked) >= 5
    assert all(0 < pause <= provider_keys.LONGEST_PAUSE_S for pause in time.pauses)


def test_ssm_down_is_not_asked_again_for_each_request_but_soon(ssm, build, time):
    store(ssm, "groq")
    dead = dead_client()
    current = [dead]
    keys = build(lambda: current[0])
    asyncio.run(keys.keys(["groq"]))
    asked = len(dead.asked)
    time.now_s += provider_keys.FAILED_RETRIED_AFTER_S - 1
    asyncio.run(keys.keys(["groq"]))
    assert len(dead.asked) == asked
    current[0] = ssm
    time.now_s += 1
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}
    assert keys.problem is None


def test_keys_are_served_stale_while_ssm_is_down(ssm, build, time, log):
    store(ssm, "groq")
    current = [ssm]
    keys = build(lambda: current[0])
    asyncio.run(keys.keys(["groq"]))
    current[0] = dead_client()
    time.now_s += 10 * provider_keys.REFRESHED_AFTER_S
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}
    assert keys.problem == "keys cannot be read from Parameter Store: EndpointConnectionError"
    assert log.reasons == ["EndpointConnectionError"]
    assert KEY not in log.text


def test_a_throttled_reading_is_tried_again(build, scripted):
    answers = iter([THROTTLED, (500, {}), THROTTLED])
    client = scripted(lambda names: next(answers, holding(*names)))
    keys = build(lambda: client)
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}
    assert len(client.asked) == 4
    assert keys.problem is None


def test_ssm_that_throttles_for_ever_is_given_up(build, scripted):
    client = scripted(lambda _: THROTTLED)
    keys = build(lambda: client)
    assert asyncio.run(keys.keys(["groq"])) == {}
    assert keys.problem == "keys cannot be read from Parameter Store: ThrottlingException"


def test_a_refusal_is_not_tried_again_and_its_words_are_not_logged(build, scripted, log):
    client = scripted(lambda _: DENIED)
    keys = build(lambda: client)
    assert asyncio.run(keys.keys(["groq"])) == {}
    assert len(client.asked) == 1
    assert log.reasons == ["AccessDeniedException"]
    assert KEY not in log.text + keys.problem


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (200, {}), (200, b""), (502, b"<html>"), (302, b""), (404, b"no")]
)
def test_an_answer_that_is_not_ssms_is_a_failure_and_costs_no_key(ssm, build, scripted, time, answer):
    store(ssm, "groq")
    current = [ssm]
    keys = build(lambda: current[0])
    asyncio.run(keys.keys(["groq"]))
    current[0] = scripted(lambda _: answer)
    time.now_s += provider_keys.REFRESHED_AFTER_S
    assert asyncio.run(keys.keys(["groq"])) == {"groq": KEY}
    assert keys.problem.startswith("keys cannot be read from Parameter Store: ")


def test_what_one_call_brings_is_kept_when_another_fails(build, scripted):
    names = [f"provider-{i:02}" for i in range(12)]
    client = scripted(lambda asked: DENIED if len(asked) == 2 else holding(*asked))
    keys = build(lambda: client)
    assert asyncio.run(keys.keys(names)) == dict.fromkeys(names[:10], KEY)
    assert keys.how_to_store(names[11]) == "keys cannot be read from Parameter Store: AccessDeniedException"


def test_a_client_that_cannot_be_made_is_a_failure_like_any_other(build):
    def broken():
        raise NoRegionError

    keys = build(broken)
    assert asyncio.run(keys.keys(["groq"])) == {}
    assert keys.problem.endswith("NoRegionError")


def test_silence_ends_with_the_clients_own_time_limit(build, scripted):
    released = threading.Event()
    client = scripted(lambda names: (released.wait(20), holding(*names))[1], read_timeout_s=0.1)
    keys = build(lambda: client)
    assert asyncio.run(keys.keys(["groq"])) == {}
    released.set()
    assert keys.problem.endswith("ReadTimeoutError")


def test_a_client_that_waits_longer_than_three_seconds_is_not_waited_for(build, scripted, monkeypatch):
    monkeypatch.setattr(provider_keys, "GIVEN_UP_AFTER_S", 0.2)
    released = threading.Event()
    client = scripted(lambda names: (released.wait(20), holding(*names))[1], read_timeout_s=20)
    keys = build(lambda: client)

    async def asked():
        found = await keys.keys(["groq"])
        assert not released.is_set()
        released.set()
        return found

    assert asyncio.run(asked()) == {}
    assert keys.problem.endswith("TimeoutError")


def test_who_has_every_key_does_not_wait_for_anothers_refresh(build, scripted, time):
    released = threading.Event()
    released.set()
    client = scripted(lambda names: (released.wait(20), holding(*names))[1], read_timeout_s=20)
    keys = build(lambda: client)

    async def refreshed_while_asked_again():
        await keys.keys(["groq"])
        released.clear()
        time.now_s += provider_keys.REFRESHED_AFTER_S
        refreshing = asyncio.create_task(keys.keys(["groq"]))
        await asyncio.sleep(0)
        stale = await keys.keys(["groq"])
        assert not refreshing.done()
        released.set()
        return stale, await refreshing

    assert asyncio.run(refreshed_while_asked_again()) == ({"groq": KEY}, {"groq": KEY})
    assert len(client.asked) == 2
