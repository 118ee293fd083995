"""What is deployed, as AWS itself describes it: whether the stack still is what its template asked for."""

from __future__ import annotations

import pytest

NOT_KEPT = "asks for what the emulator does not keep (it is asserted on the template)"


def test_the_stack_is_whole(stack):
    (found,) = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def test_the_api_has_one_stage_and_it_is_throttled(stack):
    stages = stack.client("apigateway").get_stages(restApiId=stack.resources["RouterApi"])["item"]
    assert [found["stageName"] for found in stages] == [stack.stage]
    settings = stages[0]["methodSettings"]["*/*"]
    assert settings["throttlingRateLimit"] == float(stack.parameters["ThrottleRate"])
    assert settings["throttlingBurstLimit"] == int(stack.parameters["ThrottleBurst"])


STREAMED = ("/v1/chat/completions", "POST")
BUFFERED = [
    ("/generate", "POST"),
    ("/estimate", "POST"),
    ("/stats", "GET"),
    ("/providers", "GET"),
    ("/providers/{name}", "PUT"),
    ("/health", "GET"),
    ("/health", "HEAD"),
    ("/v1/models", "GET"),
    ("/v1/models/{model+}", "GET"),
]


def test_each_path_goes_to_its_function_and_waits_as_long_as_that_may_run(stack):
    api, gateway = {"restApiId": stack.resources["RouterApi"]}, stack.client("apigateway")
    found = {
        (resource["path"], method): gateway.get_integration(**api, resourceId=resource["id"], httpMethod=method)
        for resource in gateway.get_resources(**api, embed=["methods"], limit=500)["items"]
        for method in resource.get("resourceMethods", {})
    }
    assert found.keys() == {*BUFFERED, STREAMED}
    for at, integration in found.items():
        function = "StreamingFunction" if at == STREAMED else "RouterFunction"
        assert integration["type"] == "AWS_PROXY"
        assert stack.arn(function) in integration["uri"], at
        assert integration["timeoutInMillis"] == 1000 * timeout_s(stack, function), at
    assert timeout_s(stack, "RouterFunction") == int(stack.parameters["GatewayTimeoutS"])


def timeout_s(stack, function):
    return stack.client("lambda").get_function_configuration(FunctionName=stack.resources[function])["Timeout"]


@pytest.mark.parametrize("function", ["RouterFunction", "StreamingFunction", "StatsFunction"])
def test_a_function_logs_to_its_own_group_which_forgets(stack, function):
    found = stack.client("lambda").get_function_configuration(FunctionName=stack.resources[function])
    group = stack.resources[function.replace("Function", "Logs")]
    assert found["LoggingConfig"]["LogGroup"] == group
    described = stack.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    days = {one["logGroupName"]: one.get("retentionInDays") for one in described}
    assert days[group] == int(stack.parameters["LogRetentionDays"])


@pytest.mark.parametrize("table", ["LedgerTable", "StateTable"])
def test_a_table_is_paid_by_request(stack, table):
    described = stack.client("dynamodb").describe_table(TableName=stack.outputs[table])["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.real_only(NOT_KEPT)
@pytest.mark.parametrize("table", ["LedgerTable", "StateTable"])
def test_a_table_is_encrypted_forgets_what_expires_and_can_be_brought_back_to_any_moment(stack, table):
    dynamodb, name = stack.client("dynamodb"), stack.outputs[table]
    assert dynamodb.describe_table(TableName=name)["Table"]["SSEDescription"]["Status"] == "ENABLED"
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (expiry["TimeToLiveStatus"], expiry["AttributeName"]) == ("ENABLED", "expires_at")
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_the_bucket_is_closed_to_the_public(stack):
    s3, bucket = stack.client("s3"), stack.outputs["PageBucket"]
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert set(blocked.values()) == {True}


@pytest.mark.real_only(NOT_KEPT)
def test_the_buckets_policy_is_not_public(stack):
    s3, bucket = stack.client("s3"), stack.outputs["PageBucket"]
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False


def test_every_alarm_speaks_to_the_topic(stack):
    pages = (
        stack.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"llm-router-{stack.stage}-")
    )
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    assert alarms
    for alarm in alarms:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [stack.outputs["AlarmTopic"]], alarm["AlarmName"]
        assert alarm["ActionsEnabled"] is True


def test_the_stats_function_is_on_its_schedule(stack):
    found = stack.client("scheduler").get_schedule(Name=stack.resources["StatsFunctionEvery"])
    assert found["State"] == "ENABLED"
    assert found["ScheduleExpression"] == f"rate({stack.parameters['StatsEveryMinutes']} minutes)"
    assert found["Target"]["Arn"] == stack.arn("StatsFunction")
    assert found["Target"]["RoleArn"] == stack.arn("StatsFunctionEveryRole")
