"""What `make build`, `deploy` and `provider-key` do beside SAM: checks, keys, and what they print."""

import asyncio
import io
import json
import marshal
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber
from moto import mock_aws

from infra.deploy import deploy, first_key, next_steps, provider_key, stack
from infra.deploy.stack import Deployment, Outputs
from infra.sam import build
from llm_router import client_keys, configuration
from llm_router.catalogue import Catalogue
from llm_router.clock import Clock

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = "made-up-for-this-test"
OUTPUTS = Outputs(
    api_url="https://api.example.com/dev",
    page_url="https://page.example.com",
    state_table="state",
    stats_function="stats-function",
    router_logs="/llm-router/dev/router",
    streaming_logs="/llm-router/dev/streaming",
    stats_logs="/llm-router/dev/stats",
    alarm_topic="arn:aws:sns:eu-central-1:123456789012:alarms",
)
NOTHING_LISTENS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
DEV = Deployment(stage="dev", region=REGION, arch="arm64")


class Functions:
    """Lambda's client as far as the deployment uses it: answers every call with one report or error."""

    def __init__(self, report, *, function_error=None, error=None):
        self._answer = {"Payload": report, **({"FunctionError": function_error} if function_error else {})}
        self._error = error
        self.invoked = []

    def invoke(self, **request):
        self.invoked.append(request["FunctionName"])
        if self._error:
            raise self._error
        return self._answer | {"Payload": io.BytesIO(json.dumps(self._answer["Payload"]).encode())}


WORKING = {"records": 0, "behind_s": 0.0, "as_of": "2026-11-23T12:00:00Z"}


@pytest.fixture
def ssm():
    with mock_aws():
        yield boto3.client("ssm", region_name=REGION)


def clients(dynamodb, ssm, functions=None):
    return deploy.Clients(dynamodb=dynamodb, ssm=ssm, functions=functions or Functions(WORKING))


def items(dynamodb):
    return dynamodb.scan(TableName="state")["Items"]


# The first client key


def test_the_first_key_opens_the_door_as_an_operator(dynamodb):
    text = first_key.make_first(dynamodb, table="state", now=NOW)
    known = asyncio.run(client_keys.ClientKeys(lambda: dynamodb, table="state", clock=Clock()).authenticate(text))
    assert known.role is client_keys.Role.OPERATOR
    assert known.label == first_key.LABEL


def test_the_first_keys_secret_is_stored_nowhere(dynamodb):
    text = first_key.make_first(dynamodb, table="state", now=NOW)
    secret = text.split("_", 2)[2]
    assert secret not in json.dumps(items(dynamodb))


def test_a_second_deployment_makes_no_second_key(dynamodb):
    assert first_key.make_first(dynamodb, table="state", now=NOW)
    assert first_key.make_first(dynamodb, table="state", now=NOW) is None
    assert len(items(dynamodb)) == 1


def test_other_things_in_the_state_table_are_no_client_key(dynamodb):
    dynamodb.put_item(TableName="state", Item={"pk": {"S": "breaker#groq/llama-3.1-8b-instant"}})
    assert first_key.make_first(dynamodb, table="state", now=NOW)


def test_a_client_key_is_found_behind_a_page_of_other_things(dynamodb):
    """One answer of a scan ends after 1 MB, whatever the filter leaves of it."""
    for number in range(6):
        item = {"pk": {"S": f"breaker#{number}"}, "ballast": {"S": "x" * 350_000}}
        dynamodb.put_item(TableName="state", Item=item)
    assert first_key.make_first(dynamodb, table="state", now=NOW)
    assert first_key.make_first(dynamodb, table="state", now=NOW) is None


# Providers' keys


def test_a_stored_key_is_a_secure_string_where_the_router_looks(ssm):
    name = provider_key.store(ssm, provider="groq", stage="dev", key=KEY)
    found = ssm.get_parameter(Name="/llm-router/dev/providers/groq/api_key", WithDecryption=True)["Parameter"]
    assert (found["Name"], found["Type"], found["Value"]) == (name, "SecureString", KEY)


def test_a_key_is_replaced_by_the_next(ssm):
    provider_key.store(ssm, provider="groq", stage="dev", key=KEY)
    name = provider_key.store(ssm, provider="groq", stage="dev", key="another")
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "another"


def test_stored_keys_are_told_by_stage_also_beyond_one_calls_names(ssm):
    providers = [f"provider{number}" for number in range(12)]
    for provider in providers[:11]:
        provider_key.store(ssm, provider=provider, stage="dev", key=KEY)
    assert provider_key.stored(ssm, providers, stage="dev") == set(providers[:11])
    assert provider_key.stored(ssm, providers, stage="prod") == set()


def test_a_piped_key_loses_its_line_end():
    assert provider_key.read_key("groq", io.StringIO(f"  {KEY}\r\n")) == KEY


@pytest.mark.parametrize("typed", ["", "\n", "   \n", "two words\n", "k\u00e9y\n", "ke\x00y\n"])
def test_what_can_be_no_key_is_refused_without_repeating_it(typed):
    with pytest.raises(provider_key.UnusableKeyError) as refused:
        provider_key.read_key("groq", io.StringIO(typed))
    assert not typed.strip() or typed.strip() not in str(refused.value)


def test_every_provider_of_the_shipped_configuration_that_needs_a_key_is_known():
    configured = configuration.load(ROOT / provider_key.CONFIGURATION_FILE, catalogue=Catalogue())
    assert provider_key.providers_with_keys(configured) == ["groq", "openai"]


def run_provider_key(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy.provider_key", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "layers/shared", **NOTHING_LISTENS},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,
    )


def test_a_provider_that_is_not_configured_is_refused_before_a_key_is_asked_for():
    ended = run_provider_key("--provider", "nobody", "--stage", "dev", input="")
    assert ended.returncode == 1
    assert "has no provider 'nobody'" in ended.stderr
    assert "groq, openai" in ended.stderr


def test_a_failure_to_store_shows_neither_the_key_nor_a_traceback():
    ended = run_provider_key("--provider", "groq", "--stage", "dev", input=f"{KEY}\n")
    assert ended.returncode == 1
    assert "The key was not stored" in ended.stderr
    assert KEY not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_typed_at_the_prompt_is_not_shown():
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "r+b", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.deploy.provider_key", "--provider", "groq", "--stage", "dev"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "layers/shared", **NOTHING_LISTENS},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)  # so that reading ends with the process
        shown = b""
        while b"not shown" not in shown:
            shown += screen.read(1024)
        screen.write(f"{KEY}\n".encode())
        while b"not stored" not in shown:
            shown += screen.read(1024)
        assert process.wait(timeout=30) == 1
    assert KEY.encode() not in shown


# What is deployed, and how


def test_the_deploy_command_names_stack_region_and_parameters():
    asked = Deployment(
        stage="dev",
        region=REGION,
        arch="x86_64",
        alarm_email="me@example.com",
        parameters=(("RouterMemoryMb", "1024"),),
    )
    command = stack.deploy_command("sam", asked)
    assert command[:2] == ["sam", "deploy"]
    assert command[command.index("--stack-name") + 1] == "llm-router-dev"
    assert command[command.index("--region") + 1] == REGION
    overrides = command[command.index("--parameter-overrides") + 1 :]
    assert overrides == [
        'Stage="dev"',
        'Architecture="x86_64"',
        'AlarmEmail="me@example.com"',
        'RouterMemoryMb="1024"',
    ]


@pytest.mark.parametrize(
    ("typed", "handed_on"),
    [
        ("AlarmEmail=", 'AlarmEmail=""'),
        ("Name=two words", 'Name="two words"'),
        ("Name=a=b c=d", 'Name="a=b c=d"'),
        ('Name=say "hi"', 'Name="say \\"hi\\""'),
        ("Name=it's", 'Name="it\\\'s"'),
        ("LedgerShards=8", 'LedgerShards="8"'),
    ],
)
def test_a_parameters_value_is_quoted_so_that_sam_reads_all_of_it(typed, handed_on):
    """SAM's own type refuses `Name=`, and cuts `Name=two words` at the blank."""
    asked = deploy.deployment([typed], default_region=REGION)
    assert stack.deploy_command("sam", asked)[-1] == handed_on


@pytest.mark.parametrize("typed", ["words", "two words=1", "=1", "Na-me=1", "Name=back\\slash", "Name=two\nlines"])
def test_what_is_no_parameter_is_refused_before_anything_is_built(typed, capsys):
    with pytest.raises(SystemExit):
        deploy.deployment([typed], default_region=REGION)
    told = capsys.readouterr().err
    assert "is no Name=value" in told or "can't be handed to SAM" in told


def test_an_alarm_address_given_once_is_kept():
    """A parameter that is not named keeps its value; an empty one would end the subscription."""
    assert not [part for part in stack.deploy_command("sam", DEV) if "AlarmEmail" in part]


def test_the_command_line_says_what_to_deploy_and_the_profiles_region_is_the_default():
    asked = deploy.deployment(
        ["--stage", "dev", "--region", "", "--arch", "x86_64", "--alarm-email", "", "LedgerShards=8"],
        default_region=REGION,
    )
    assert asked == Deployment(stage="dev", region=REGION, arch="x86_64", parameters=(("LedgerShards", "8"),))


@pytest.mark.parametrize("stage", ["", "Prod", "1st", "a/b", "a" * 21, "dev\n"])
def test_a_stage_that_the_template_would_refuse_is_refused_at_once(stage, capsys):
    with pytest.raises(SystemExit):
        deploy.deployment(["--stage", stage], default_region=REGION)
    assert "is no stage" in capsys.readouterr().err


def test_missing_credentials_are_told_with_what_to_do():
    class Nobody:
        def get_caller_identity(self):
            raise NoCredentialsError

    with pytest.raises(deploy.DeploymentError, match="aws sso login") as told:
        deploy.account_of(Nobody())
    assert "AWS_PROFILE" in str(told.value)


def test_refused_credentials_are_told_with_what_to_do():
    sts = boto3.client("sts", region_name=REGION)
    with Stubber(sts) as answers:
        answers.add_client_error("get_caller_identity", "ExpiredToken", "The security token is expired", 403)
        with pytest.raises(deploy.DeploymentError, match="ExpiredToken"):
            deploy.account_of(sts)


def test_the_account_is_the_callers():
    with mock_aws():
        assert deploy.account_of(boto3.client("sts", region_name=REGION)) == "123456789012"


def test_the_outputs_are_those_of_the_stages_stack():
    values = {
        "ApiUrl": OUTPUTS.api_url,
        "StateTable": "state",
        "StatsFunction": "stats-function",
        "RouterLogs": OUTPUTS.router_logs,
        "StreamingLogs": OUTPUTS.streaming_logs,
        "StatsLogs": OUTPUTS.stats_logs,
        "AlarmTopic": OUTPUTS.alarm_topic,
        "LedgerTable": "ledger",
    }
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    with Stubber(cloudformation) as answers:
        described = {
            "StackName": "llm-router-dev",
            "CreationTime": NOW,
            "StackStatus": "CREATE_COMPLETE",
            "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in values.items()],
        }
        answers.add_response("describe_stacks", {"Stacks": [described]}, {"StackName": "llm-router-dev"})
        found = stack.read_outputs(cloudformation, stage="dev")
    assert found.state_table == "state"
    assert found.page_url is None


# The build


@pytest.fixture
def layers(tmp_path):
    """The layers as a build leaves them, with nothing wrong."""
    for name, path in {
        "SharedLayer": "python/module.py",
        "ConfigLayer": "providers.yaml",
        "VocabularyLayer": "vocabulary/a",
        "PageLayer": "page/a",
    }.items():
        file = tmp_path / name / path
        file.parent.mkdir(parents=True)
        file.write_text("x = 1")
    return {path.name: path for path in tmp_path.iterdir()}


def elf(machine):
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little")


def test_a_good_build_has_no_problem(layers):
    (layers["SharedLayer"] / "python" / "native.so").write_bytes(elf(183))
    assert build.problems(layers, arch="arm64") == []


def test_an_empty_layer_is_a_problem(layers):
    (layers["PageLayer"] / "page" / "a").unlink()
    (problem,) = build.problems(layers, arch="arm64")
    assert problem.startswith("PageLayer is empty")


def test_a_layer_that_is_too_large_is_a_problem(layers):
    with (layers["SharedLayer"] / "large").open("wb") as file:
        file.truncate(build.LAYER_MB_AT_MOST * 1_000_000)
    (problem,) = build.problems(layers, arch="arm64")
    assert problem.startswith("SharedLayer has 60.0 MB")


def test_what_lambda_brings_is_a_problem_in_the_layer(layers):
    (layers["SharedLayer"] / "python" / "botocore").mkdir()
    (problem,) = build.problems(layers, arch="arm64")
    assert problem.startswith("botocore is in the layer")


@pytest.mark.parametrize("content", [elf(62), b"\xcf\xfa\xed\xfe", b""])
def test_a_binary_for_another_machine_is_a_problem(layers, content):
    (layers["SharedLayer"] / "python" / "native.cpython-313.so").write_bytes(content)
    (problem,) = build.problems(layers, arch="arm64")
    assert "is not built for Linux on arm64" in problem


def test_compiled_files_hold_whatever_the_source_files_times_and_name_the_path_at_run_time(layers):
    library = layers["SharedLayer"] / "python"
    build.compile_all(library, runs_at="/opt/python")
    (compiled,) = library.rglob("*.pyc")
    content = compiled.read_bytes()
    assert int.from_bytes(content[4:8], "little") == 0b01, "by hash, unchecked: PEP 552"
    assert marshal.loads(content[16:]).co_filename == "/opt/python/module.py"  # noqa: S302  # what was just written


def test_python_that_does_not_compile_ends_the_build(layers):
    (layers["SharedLayer"] / "python" / "broken.py").write_text("def")
    with pytest.raises(SystemExit, match="does not compile"):
        build.compile_all(layers["SharedLayer"], runs_at="/opt")


# The end of a deployment


def test_the_new_key_is_printed_exactly_once_and_never_again(dynamodb, ssm, capsys):
    deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm))
    first = capsys.readouterr().out
    assert first.count("llmr_") == 1
    deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm))
    assert "llmr_" not in capsys.readouterr().out


def test_the_printed_key_is_the_stored_one(dynamodb, ssm, capsys):
    deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm))
    printed = capsys.readouterr().out.split(f"export {next_steps.KEY_VARIABLE}=")[1].split()[0]
    assert items(dynamodb)[0]["pk"]["S"] == client_keys.partition(printed.split("_")[1])


def test_the_addresses_and_a_request_to_paste_are_printed(dynamodb, ssm, capsys):
    deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm))
    printed = capsys.readouterr().out
    assert OUTPUTS.page_url in printed
    assert f"curl -s {OUTPUTS.api_url}/generate" in printed
    assert f'"Authorization: Bearer ${next_steps.KEY_VARIABLE}"' in printed


def test_a_missing_provider_key_is_asked_for_with_the_exact_command(dynamodb, ssm, capsys):
    provider_key.store(ssm, provider="openai", stage="dev", key=KEY)
    deploy.finish(DEV, OUTPUTS, ["groq", "openai"], clients(dynamodb, ssm))
    printed = capsys.readouterr().out
    assert f"make provider-key PROVIDER=groq STAGE=dev REGION={REGION}" in printed
    assert (
        "aws ssm put-parameter --name /llm-router/dev/providers/groq/api_key --type SecureString --value … "
        f"--region {REGION}" in printed
    )
    assert "PROVIDER=openai" not in printed
    assert KEY not in printed


def test_nothing_is_asked_for_when_every_key_is_stored(dynamodb, ssm, capsys):
    provider_key.store(ssm, provider="groq", stage="dev", key=KEY)
    deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm))
    assert "provider-key" not in capsys.readouterr().out


def test_a_page_without_address_is_said_to_be_unpublished():
    unpublished = stack.outputs_of(
        {
            "ApiUrl": "a",
            "StateTable": "b",
            "StatsFunction": "c",
            "RouterLogs": "d",
            "StreamingLogs": "f",
            "StatsLogs": "e",
            "AlarmTopic": "f",
        }
    )
    assert "not published" in next_steps.addresses(unpublished)
    assert "None" not in next_steps.addresses(unpublished)


def test_the_stats_function_is_run_once(dynamodb, ssm):
    functions = Functions(WORKING)
    deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm, functions))
    assert functions.invoked == ["stats-function"]


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        (Functions({"errorType": "StoreError"}, function_error="Unhandled"), "StoreError"),
        (Functions(None), "without a report"),
        (Functions({}), "without a report"),
        (
            Functions(WORKING, error=ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")),
            "TooManyRequests",
        ),
    ],
)
def test_failing_stats_end_the_deployment_but_neither_key_nor_next_steps_are_lost(
    dynamodb, ssm, capsys, functions, reason
):
    with pytest.raises(deploy.DeploymentError, match=reason) as told:
        deploy.finish(DEV, OUTPUTS, ["groq"], clients(dynamodb, ssm, functions))
    assert f"aws logs tail {OUTPUTS.stats_logs}" in str(told.value)
    printed = capsys.readouterr().out
    assert "llmr_" in printed
    assert "make provider-key" in printed
