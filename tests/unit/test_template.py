"""The stack: template.yaml as SAM expands it, held against the library, the handlers and the rules of the house."""

import ast
import json
import os
import re
from functools import cache

import pytest

from expanded_template import ROOT, SOURCE, deployed
from infra.deploy import stack
from infra.sam import build
from llm_router import app, settings, wiring
from llm_router.errors import AllProvidersFailedError
from llm_router.settings import KeySource

LIBRARY = ROOT / "layers/shared/llm_router"

NEEDED = {"LEDGER_TABLE": "ledger", "STATE_TABLE": "state"}

BY_LAMBDA = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "Lambda itself says it"}
LEFT_OUT = {
    "RouterFunction": {
        "PAGE_BUCKET": "the stats function publishes the page",
        "PAGE_DIR": "the stats function publishes the page",
    },
    "StreamingFunction": {
        "PAGE_BUCKET": "the stats function publishes the page",
        "PAGE_DIR": "the stats function publishes the page",
        "GATEWAY_TIMEOUT_S": "the limit of other paths; the adapter tells it each request's deadline",
    },
    "StatsFunction": {
        "PROVIDERS_FILE": "it calls no provider",
        "VOCABULARY_DIR": "it counts nothing",
        "PROVIDER_KEYS": "it calls no provider",
        "REQUIRE_CLIENT_KEY": "nobody calls it",
        "GATEWAY_TIMEOUT_S": "it stands behind no gateway",
        "MAX_BODY_BYTES": "it stands behind no gateway",
    },
}

FOR_THE_ADAPTER = {
    "StreamingFunction": {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "AWS_LWA_INVOKE_MODE": "response_stream",
        "AWS_LWA_PORT": "8080",
        "AWS_LWA_READINESS_CHECK_PATH": "/health",
    }
}
"""What the Lambda Web Adapter reads, and the library does not."""

ADAPTER_LAYERS = {
    "arm64": "arn:aws:lambda:eu-central-1:753240598075:layer:LambdaAdapterLayerArm64:27",
    "x86_64": "arn:aws:lambda:eu-central-1:753240598075:layer:LambdaAdapterLayerX86:27",
}
STREAMED = ("/v1/chat/completions", "post")
HTTP_FUNCTIONS = ["RouterFunction", "StreamingFunction"]
FUNCTIONS = [*HTTP_FUNCTIONS, "StatsFunction"]

MANAGED_CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
"""https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html"""

WIDE_RESOURCES = {
    ("RouterRole", "ssm:GetParameters"): "one parameter a provider, named in providers.yaml",
    ("StreamingRole", "ssm:GetParameters"): "one parameter a provider, named in providers.yaml",
    ("StatsRole", "s3:PutObject"): "the page's files, and only in the page's bucket",
    ("RouterRole", "logs:CreateLogStream"): "every stream of the function's own group",
    ("RouterRole", "logs:PutLogEvents"): "every stream of the function's own group",
    ("StreamingRole", "logs:CreateLogStream"): "every stream of the function's own group",
    ("StreamingRole", "logs:PutLogEvents"): "every stream of the function's own group",
    ("StatsRole", "logs:CreateLogStream"): "every stream of the function's own group",
    ("StatsRole", "logs:PutLogEvents"): "every stream of the function's own group",
}


@cache
def variables_read():
    """The names that the settings ask an environment for."""
    asked = set()

    class Noting(dict):
        def get(self, name, default=None):
            asked.add(name)
            return super().get(name, default)

    settings.read(Noting(NEEDED))
    return frozenset(asked)


def body():
    ((_, api),) = deployed().of_type("AWS::ApiGateway::RestApi").items()
    return api["Body"]


def gateway_responses():
    return body()["x-amazon-apigateway-gateway-responses"]


def integrations(of):
    """By path and method."""
    ((_, api),) = of.of_type("AWS::ApiGateway::RestApi").items()
    return {
        (path, method): described["x-amazon-apigateway-integration"]
        for path, methods in api["Body"]["paths"].items()
        for method, described in methods.items()
    }


def buffered(of):
    return {at: integration for at, integration in integrations(of).items() if at != STREAMED}


def as_list(value):
    return value if isinstance(value, list) else [value]


# Settings and handlers


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_every_variable_that_the_settings_read_or_leaves_it_out_for_a_reason(function):
    given = deployed().environment(function).keys() - FOR_THE_ADAPTER.get(function, {}).keys()
    left_out = LEFT_OUT[function].keys() | BY_LAMBDA.keys()
    assert given | left_out == variables_read()
    assert not given & left_out


def test_the_adapter_is_told_to_stream_and_where_the_app_answers():
    environment = deployed().environment("StreamingFunction")
    assert environment.items() >= FOR_THE_ADAPTER["StreamingFunction"].items()
    environ = deployed().environment("RouterFunction") | {"PROVIDERS_FILE": str(ROOT / "layers/config/providers.yaml")}
    open_paths = {route.path for route in wiring.router(environ).routes if not route.dependant.dependencies}
    assert open_paths == {environment["AWS_LWA_READINESS_CHECK_PATH"]}, "the adapter has no key to ask with"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_settings_accept_what_a_function_is_given(function):
    read = settings.read(deployed().environment(function))
    assert (read.stage, read.ledger_table, read.state_table) == ("prod", "LedgerTable", "StateTable")
    assert read.key_source is KeySource.SSM
    assert read.require_client_key is True


@pytest.mark.parametrize("function", HTTP_FUNCTIONS)
def test_the_parameters_defaults_are_those_of_the_library(function):
    assert settings.read(NEEDED) == settings.read(
        deployed().environment(function) | NEEDED | {"STAGE": settings.read(NEEDED).stage}
    )


@pytest.mark.parametrize(
    ("parameter", "value", "variable", "functions"),
    [
        ("Stage", "dev", "STAGE", FUNCTIONS),
        ("GatewayTimeoutS", "60", "GATEWAY_TIMEOUT_S", ["RouterFunction"]),
        ("LedgerShards", "8", "LEDGER_SHARDS", FUNCTIONS),
        ("RecordRetentionDays", "30", "RECORD_RETENTION_DAYS", FUNCTIONS),
        ("MaxBodyBytes", "1048576", "MAX_BODY_BYTES", HTTP_FUNCTIONS),
        ("InfrastructurePrices", "table_write=0.0000007", "INFRASTRUCTURE_PRICES", FUNCTIONS),
    ],
)
def test_what_an_operator_changes_reaches_the_functions(parameter, value, variable, functions):
    of = deployed(**{parameter: value})
    assert [function for function in FUNCTIONS if of.environment(function).get(variable) == value] == functions


def test_each_function_has_a_memory_of_its_own():
    of = deployed(RouterMemoryMb="301", StreamingMemoryMb="302", StatsMemoryMb="303")
    memories = [of.resources[function]["Properties"]["MemorySize"] for function in FUNCTIONS]
    assert memories == ["301", "302", "303"]


def test_the_stats_function_knows_its_bucket_and_where_its_layer_puts_the_page():
    environment = deployed().environment("StatsFunction")
    assert environment["PAGE_BUCKET"] == "PageBucket"
    assert environment["PAGE_DIR"] == "/opt/page"
    assert (ROOT / SOURCE["Resources"]["PageLayer"]["Properties"]["ContentUri"] / "page" / "index.html").is_file()


@pytest.mark.parametrize("function", ["RouterFunction", "StatsFunction"])
def test_a_function_has_its_handler_and_lambdas_python(function):
    properties = deployed().resources[function]["Properties"]
    assert properties["Runtime"] == SOURCE["Resources"]["SharedLayer"]["Metadata"]["BuildMethod"] == "python3.13"
    module, name = properties["Handler"].split(".")
    source = ROOT / SOURCE["Resources"][function]["Properties"]["CodeUri"] / f"{module}.py"
    assert re.search(rf"^(def {name}\(|{name} = )", source.read_text(), re.MULTILINE)


def test_the_streaming_functions_handler_is_a_program_for_lambdas_python_that_the_build_keeps_startable():
    properties = deployed().resources["StreamingFunction"]["Properties"]
    program = ROOT / SOURCE["Resources"]["StreamingFunction"]["Properties"]["CodeUri"] / properties["Handler"]
    assert os.access(program, os.X_OK)
    assert f"exec {properties['Runtime']} -m uvicorn app:app" in program.read_text()
    assert (program.parent / "app.py").is_file()
    assert f"StreamingFunction/{properties['Handler']}" in build.STARTED


def test_the_build_refuses_a_program_that_lambda_could_not_start(tmp_path):
    (name,) = build.STARTED
    program = tmp_path / name
    assert len(list(build.unstartable(tmp_path))) == 1
    program.parent.mkdir()
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o644)
    assert len(list(build.unstartable(tmp_path))) == 1
    program.chmod(0o755)
    assert list(build.unstartable(tmp_path)) == []
    program.write_bytes(b"#!/bin/sh\r\n")
    assert len(list(build.unstartable(tmp_path))) == 1


def pins(path):
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE))


def test_the_streaming_function_has_the_server_of_the_local_run_and_nothing_that_differs_from_the_layer():
    own, layer, local = (
        pins(f"{at}/requirements.txt") for at in ("functions/streaming", "layers/shared", "infra/local")
    )
    assert own["uvicorn"] == local["uvicorn"]
    assert {name: layer[name] for name in own.keys() & layer.keys()} == {name: own[name] for name in own & layer.keys()}
    assert "uvicorn" not in layer, "the router starts without it"


OPT = {
    "SharedLayer": "python/llm_router",
    "ConfigLayer": "providers.yaml",
    "VocabularyLayer": "vocabulary",
    "PageLayer": "page",
    ADAPTER_LAYERS["arm64"]: "bootstrap",
}
"""What each layer puts under /opt."""


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        ("RouterFunction", ["SharedLayer", "ConfigLayer", "VocabularyLayer"]),
        ("StreamingFunction", ["SharedLayer", "ConfigLayer", "VocabularyLayer", ADAPTER_LAYERS["arm64"]]),
        ("StatsFunction", ["SharedLayer", "PageLayer"]),
    ],
)
def test_a_function_has_the_layers_with_the_library_and_with_what_its_variables_name(function, layers):
    attached = [re.sub(r"[0-9a-f]{10}$", "", name) for name in deployed().resources[function]["Properties"]["Layers"]]
    assert attached == layers
    there = {f"/opt/{OPT[layer]}" for layer in layers}
    named = {value for value in deployed().environment(function).values() if value.startswith("/opt/")}
    assert named == there - {"/opt/python/llm_router"}


@pytest.mark.parametrize(
    ("layer", "content"),
    [
        ("SharedLayer", {"llm_router", "requirements.txt"}),
        ("ConfigLayer", {"providers.yaml"}),
        ("VocabularyLayer", {"vocabulary"}),
        ("PageLayer", {"page"}),
    ],
)
def test_a_layers_folder_holds_what_should_ship_and_nothing_else(layer, content):
    folder = ROOT / SOURCE["Resources"][layer]["Properties"]["ContentUri"]
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == content


def test_the_build_checks_every_layer_and_function_of_the_template():
    def named(kind):
        return {name: resource for name, resource in SOURCE["Resources"].items() if resource["Type"] == kind}

    layers, functions = named("AWS::Serverless::LayerVersion"), named("AWS::Serverless::Function")
    assert build.LAYERS.keys() == layers.keys()
    assert build.FUNCTIONS.keys() == functions.keys()
    for name, layer in layers.items():
        built = build.BUILD / name if "BuildMethod" in layer.get("Metadata", {}) else None
        assert build.LAYERS[name] == (built or ROOT / layer["Properties"]["ContentUri"])


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_one_parameter_decides_the_processor_of_functions_and_layers(architecture):
    of = deployed(Architecture=architecture)
    assert of.resources["StreamingFunction"]["Properties"]["Layers"][-1] == ADAPTER_LAYERS[architecture]
    assert all(function["Architectures"] == [architecture] for function in of.of_type("AWS::Lambda::Function").values())
    assert SOURCE["Resources"]["SharedLayer"]["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}
    assert architecture in build.ELF_MACHINES


# The front


def test_the_api_is_regional_and_has_one_stage():
    ((_, stage),) = deployed().of_type("AWS::ApiGateway::Stage").items()
    assert stage["StageName"] == "prod"
    assert all("StageName" not in found for found in deployed().of_type("AWS::ApiGateway::Deployment").values())
    ((_, api),) = deployed().of_type("AWS::ApiGateway::RestApi").items()
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_the_gateway_has_the_paths_of_the_app():
    environ = deployed().environment("RouterFunction") | {"PROVIDERS_FILE": str(ROOT / "layers/config/providers.yaml")}
    served = {
        (route.path.replace(":path}", "+}"), method)
        for route in wiring.router(environ).routes
        for method in route.methods
    }
    assert {(path, method.upper()) for path, methods in body()["paths"].items() for method in methods} == served


def test_there_is_an_event_of_every_path_that_the_router_function_answers():
    events = [json.loads(file.read_text()) for file in (ROOT / "events").glob("*.json")]
    recorded = {(event["resource"], event["httpMethod"].lower()) for event in events if "httpMethod" in event}
    assert recorded == buffered(deployed()).keys() - {("/health", "head")}


@pytest.mark.parametrize("seconds", ["29", "60"])
def test_one_timeout_holds_for_the_gateway_the_function_and_the_deadline(seconds):
    of = deployed(GatewayTimeoutS=seconds)
    assert {str(integration["timeoutInMillis"]) for integration in buffered(of).values()} == {f"{seconds}000"}
    assert of.resources["RouterFunction"]["Properties"]["Timeout"] == seconds
    assert of.environment("RouterFunction")["GATEWAY_TIMEOUT_S"] == seconds


def test_a_changed_timeout_is_deployed():
    """SAM deploys the API when its definition's text changes, and a parameter's value is no part of it."""
    assert SOURCE["Resources"]["RouterApi"]["Properties"]["AlwaysDeploy"] is True


def test_every_answer_but_the_streamed_comes_from_the_router_function_buffered():
    for integration in buffered(deployed()).values():
        assert integration["type"] == "aws_proxy"
        assert integration["uri"].endswith("2015-03-31/functions/RouterFunction.Arn/invocations")
        assert "responseTransferMode" not in integration


@pytest.mark.parametrize("seconds", ["29", "60"])
def test_chat_completions_are_streamed_for_as_long_as_lambda_gives_whatever_the_gateways_own_timeout(seconds):
    """Without a timeout of its own the path would have the gateway's 29 seconds."""
    of = deployed(GatewayTimeoutS=seconds)
    integration = integrations(of)[STREAMED]
    assert integration["type"] == "aws_proxy"
    assert integration["uri"].endswith("2021-11-15/functions/StreamingFunction.Arn/response-streaming-invocations")
    assert integration["responseTransferMode"] == "STREAM"
    timeout_s = of.resources["StreamingFunction"]["Properties"]["Timeout"]
    assert integration["timeoutInMillis"] == timeout_s * 1000 == app.STREAMING_TIMEOUT_AT_MOST_S * 1000


def test_the_gateway_may_call_each_function_on_its_own_paths_and_nobody_else_may_call_one():
    """Nothing but the permission itself would be missed: an emulated gateway asks for none."""
    granted = set()
    for permission in deployed().of_type("AWS::Lambda::Permission").values():
        assert permission["Action"] == "lambda:InvokeFunction"
        assert permission["Principal"] == "apigateway.amazonaws.com"
        granted.add((permission["FunctionName"], permission["SourceArn"]))
    api = "arn:aws:execute-api:eu-central-1:123456789012:RouterApi"
    assert granted == {
        (
            "StreamingFunction" if (path, method) == STREAMED else "RouterFunction",
            f"{api}/*/{method.upper()}{re.sub(r'{[^}]+}', '*', path)}",
        )
        for path, method in integrations(deployed())
    }
    assert not [name for name, resource in deployed().resources.items() if resource["Type"] == "AWS::Lambda::Url"]


def test_every_path_is_throttled():
    ((_, stage),) = deployed(ThrottleRate="7", ThrottleBurst="9").of_type("AWS::ApiGateway::Stage").items()
    (throttled,) = stage["MethodSettings"]
    assert (throttled["ResourcePath"], throttled["HttpMethod"]) == ("/*", "*")
    assert (throttled["ThrottlingRateLimit"], throttled["ThrottlingBurstLimit"]) == ("7", "9")


def test_every_error_of_the_gateway_has_the_shape_of_the_routers():
    for kind, response in gateway_responses().items():
        assert response["responseTemplates"].keys() == {"application/json"}, kind
        error = json.loads(response["responseTemplates"]["application/json"])
        assert error.keys() == {"error"}, kind
        assert error["error"].keys() == {"message", "type", "param", "code"}, kind
        assert error["error"]["message"].endswith("."), kind


def test_no_error_of_the_gateway_repeats_what_was_sent():
    """`$context.error.message` can hold the Authorization header."""
    assert all("$" not in json.dumps(response) for response in gateway_responses().values())


@pytest.mark.parametrize(
    ("kind", "status", "code", "header"),
    [
        ("REQUEST_TOO_LARGE", "413", "request_too_large", None),
        ("THROTTLED", "429", "rate_limit_exceeded", ("Retry-After", "'1'")),
        ("QUOTA_EXCEEDED", "429", "rate_limit_exceeded", ("Retry-After", "'1'")),
        ("MISSING_AUTHENTICATION_TOKEN", "404", "not_found", None),
        ("INVALID_SIGNATURE", "404", "not_found", None),
        ("EXPIRED_TOKEN", "404", "not_found", None),
        ("RESOURCE_NOT_FOUND", "404", "not_found", None),
        ("INTEGRATION_TIMEOUT", "504", "deadline_exceeded", ("x-should-retry", "'false'")),
        ("INTEGRATION_FAILURE", "502", "internal_error", None),
        ("DEFAULT_4XX", None, "invalid_request", None),
        ("DEFAULT_5XX", None, "internal_error", None),
    ],
)
def test_the_gateways_errors_have_the_documented_status_and_code(kind, status, code, header):
    response = gateway_responses()[kind]
    assert response.get("statusCode") == status
    assert json.loads(response["responseTemplates"]["application/json"])["error"]["code"] == code
    headers = {f"gatewayresponse.header.{header[0]}": header[1]} if header else {}
    assert response["responseParameters"] == headers


# State


@pytest.mark.parametrize(("table", "key"), [("LedgerTable", ["pk", "sk"]), ("StateTable", ["pk"])])
def test_a_table_is_on_demand_encrypted_recoverable_expiring_and_kept(table, key):
    resource = deployed().resources[table]
    properties = resource["Properties"]
    assert [part["AttributeName"] for part in properties["KeySchema"]] == key
    assert {
        part["AttributeName"]: part["AttributeType"] for part in properties["AttributeDefinitions"]
    } == dict.fromkeys(key, "S")
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"
    assert "TableName" not in properties, "a name of its own would keep a deleted stack from being deployed again"


def test_the_bucket_outlives_the_stack_and_the_logs_do_not():
    """A bucket with files in it could not be deleted, and a log group left behind would keep its name taken."""
    bucket = deployed().resources["PageBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    for group in deployed().of_type("AWS::Logs::LogGroup"):
        resource = deployed().resources[group]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Delete", "Delete")


def names_of(of):
    """The names that resources are given, down to one level of `...Config`. Inline policies belong to their role."""
    own = set(of.resources)  # what a reference resolves to here
    for resource in of.resources.values():
        nested = [value for name, value in resource["Properties"].items() if name.endswith("Config")]
        for properties in (resource["Properties"], *nested, *resource["Properties"].get("MetricTransformations", ())):
            yield from (
                value
                for name, value in properties.items()
                if (name.endswith("Name") and name not in ("DisplayName", "MetricName", "StageName"))
                or name == "MetricNamespace"
                if value not in own
            )


def test_two_stages_share_no_name():
    """Two stacks of one account and region would else take each other's things, or fail."""
    prod, dev = set(names_of(deployed())), set(names_of(deployed(Stage="dev")))
    assert len(prod) == len(dev) >= 15
    assert not prod & dev


def test_the_stages_name_is_checked_alike_before_and_in_the_deployment():
    assert SOURCE["Parameters"]["Stage"]["AllowedPattern"] == stack.STAGE_PATTERN


# The page


def test_the_bucket_is_private_encrypted_and_has_no_access_lists():
    properties = deployed().resources["PageBucket"]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert "WebsiteConfiguration" not in properties


def test_only_this_distribution_reads_the_bucket_and_only_over_tls():
    document = deployed().resources["PageBucketPolicy"]["Properties"]["PolicyDocument"]
    denied, allowed = document["Statement"]
    assert (denied["Effect"], denied["Action"], denied["Condition"]) == (
        "Deny",
        "s3:*",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    assert denied["Principal"] == "*"
    assert denied["Resource"] == ["PageBucket.Arn", "PageBucket.Arn/*"]
    assert allowed["Effect"] == "Allow"
    assert allowed["Resource"] == "PageBucket.Arn/*"
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Action"] == "s3:GetObject"
    assert allowed["Condition"] == {
        "StringEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/PageDistribution"}
    }


def test_the_page_comes_over_https_with_security_headers_through_access_control():
    ((_, distribution),) = deployed().of_type("AWS::CloudFront::Distribution").items()
    config = distribution["DistributionConfig"]
    behavior = config["DefaultCacheBehavior"]
    assert config["DefaultRootObject"] == "index.html"
    assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behavior["AllowedMethods"] == ["GET", "HEAD"]
    assert "CacheBehaviors" not in config, "each path has the same rules"
    assert behavior["ResponseHeadersPolicyId"] == "PageHeaders"
    assert behavior["CachePolicyId"] == MANAGED_CACHING_OPTIMIZED
    (origin,) = config["Origins"]
    assert (origin["Id"], origin["OriginAccessControlId"]) == (behavior["TargetOriginId"], "PageAccess.Id")
    access = deployed().resources["PageAccess"]["Properties"]["OriginAccessControlConfig"]
    assert (access["OriginAccessControlOriginType"], access["SigningProtocol"]) == ("s3", "sigv4")
    assert access["SigningBehavior"] == "always", "else the private bucket refuses every request"
    headers = deployed().resources["PageHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert headers.keys() >= {
        "ContentSecurityPolicy",
        "StrictTransportSecurity",
        "ContentTypeOptions",
        "ReferrerPolicy",
    }
    assert all(header["Override"] for header in headers.values())


def test_the_content_security_policy_lets_nothing_in_from_elsewhere():
    headers = deployed().resources["PageHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    policy = headers["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives.pop("img-src") == "'self' data:"
    assert {directives.pop(name) for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert directives.keys() == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(directives.values()) == {"'none'"}


def test_a_page_that_is_not_published_has_no_address_and_no_reader():
    of = deployed(PublishPage="false")
    assert not [name for name, resource in of.resources.items() if resource["Type"].startswith("AWS::CloudFront::")]
    statements = of.resources["PageBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert [statement["Effect"] for statement in statements] == ["Deny"]
    assert SOURCE["Outputs"]["PageUrl"]["Condition"] == "HasPage"


# Roles


def test_no_role_has_a_wildcard_without_a_reason():
    wide = set()
    for role in deployed().of_type("AWS::IAM::Role"):
        for statement in deployed().statements(role):
            assert statement["Effect"] == "Allow"
            for action in as_list(statement["Action"]):
                assert "*" not in action, (role, action)
                for resource in as_list(statement["Resource"]):
                    assert resource != "*", (role, action)
                    if resource.endswith(("*", "Logs.Arn")):  # a log group's ARN ends in ":*"
                        wide.add((role, action))
        assert "ManagedPolicyArns" not in deployed().resources[role]["Properties"]
    assert wide == WIDE_RESOURCES.keys()


def test_a_role_is_taken_on_by_the_service_that_it_is_for_and_by_nobody_else():
    trusted = {
        role: [
            (statement["Effect"], as_list(statement["Action"]), statement["Principal"])
            for statement in properties["AssumeRolePolicyDocument"]["Statement"]
        ]
        for role, properties in deployed().of_type("AWS::IAM::Role").items()
    }
    by_lambda = [("Allow", ["sts:AssumeRole"], {"Service": "lambda.amazonaws.com"})]
    by_scheduler = [("Allow", ["sts:AssumeRole"], {"Service": ["scheduler.amazonaws.com"]})]
    assert trusted == {
        **dict.fromkeys(["RouterRole", "StreamingRole", "StatsRole"], by_lambda),
        "StatsFunctionEveryRole": by_scheduler,
    }


def test_the_schedule_may_run_the_stats_function_and_do_nothing_else():
    (statement,) = deployed().statements("StatsFunctionEveryRole")
    assert (as_list(statement["Action"]), as_list(statement["Resource"])) == (
        ["lambda:InvokeFunction"],
        ["StatsFunction.Arn"],
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_its_own_role(function):
    assert deployed().resources[function]["Properties"]["Role"] == f"{function.replace('Function', 'Role')}.Arn"


TRANSACTED = {"PutItem", "UpdateItem"}
"""A transaction needs the permissions of what it is made of, and no other."""


def operations(*modules):
    """The operations of AWS that modules of the library call."""
    return permitted_as(
        call for name in modules for call in re.findall(r"_client\(\)\.(\w+)\(", (LIBRARY / name).read_text())
    )


def permitted_as(calls):
    names = {"".join(word.capitalize() for word in call.split("_")) for call in calls}
    return (names - {"TransactWriteItems"}) | (TRANSACTED if "TransactWriteItems" in names else set())


def calls_of(module, methods):
    """What these methods of a module call of a boto3 client, the methods that they call included."""
    defined = {
        node.name: node
        for node in ast.walk(ast.parse((LIBRARY / module).read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    found, seen, open_ones = set(), set(), set(methods)
    while open_ones:
        seen |= open_ones
        inside = [node for name in open_ones for node in ast.walk(defined[name]) if isinstance(node, ast.Attribute)]
        found |= {node.attr for node in inside if ast.unparse(node.value) == "self._client()"}
        open_ones = {node.attr for node in inside if ast.unparse(node.value) == "self"} & defined.keys() - seen
    return found


def asked_of(name, *, by):
    return set(re.findall(rf"\bself\.{name}\.(\w+)", (LIBRARY / by).read_text()))


def allowed(role, resource):
    return {
        action
        for statement in deployed().statements(role)
        if resource in as_list(statement["Resource"])
        for action in as_list(statement["Action"])
    }


KEYS_OF_PROD = "arn:aws:ssm:eu-central-1:123456789012:parameter/llm-router/prod/providers/*"


@pytest.mark.parametrize(
    ("role", "resource", "service", "modules"),
    [
        ("RouterRole", "LedgerTable.Arn", "dynamodb", ["ledger.py", "checkpoints.py"]),
        *((role, KEYS_OF_PROD, "ssm", ["provider_keys.py"]) for role in ("RouterRole", "StreamingRole")),
        ("StatsRole", "PageBucket.Arn/*", "s3", ["publisher.py"]),
    ],
)
def test_a_role_allows_what_the_library_calls_and_no_more(role, resource, service, modules):
    called = {f"{service}:{operation}" for operation in operations(*modules)}
    assert called
    assert allowed(role, resource) == called


def test_the_streaming_function_may_do_what_serving_a_request_takes_and_neither_aggregate_nor_read_records():
    """What the dispatcher asks of the ledger: all that its one path leads to."""
    calls = calls_of("ledger.py", asked_of("ledger", by="dispatcher.py"))
    needed = {f"dynamodb:{operation}" for operation in permitted_as(calls)}
    assert allowed("StreamingRole", "LedgerTable.Arn") == needed
    assert allowed("RouterRole", "LedgerTable.Arn") - needed == {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
    }
    assert not any("Bucket" in json.dumps(statement) for statement in deployed().statements("StreamingRole"))


def test_the_stats_function_neither_inserts_nor_deletes_records_and_reads_no_client_key():
    assert allowed("RouterRole", "LedgerTable.Arn") - allowed("StatsRole", "LedgerTable.Arn") == {
        "dynamodb:PutItem",
        "dynamodb:DeleteItem",
    }
    assert allowed("StatsRole", "StateTable.Arn") == {"dynamodb:PutItem"}


@pytest.mark.parametrize(
    ("role", "reading", "writing", "item"),
    [
        ("RouterRole", {"dynamodb:GetItem", "dynamodb:BatchGetItem"}, {"dynamodb:UpdateItem"}, "fleet"),
        ("StreamingRole", {"dynamodb:GetItem", "dynamodb:BatchGetItem"}, {"dynamodb:UpdateItem"}, "fleet"),
        ("StatsRole", set(), {"dynamodb:PutItem"}, "facts"),
    ],
)
def test_of_the_state_table_a_function_changes_one_item_and_never_a_client_key(role, reading, writing, item):
    """client_keys.py reads, fleet_store.py reads and tells the fleet; it puts the facts for the stats job."""
    on_state = [found for found in deployed().statements(role) if found["Resource"] == "StateTable.Arn"]
    free = {action for found in on_state if "Condition" not in found for action in as_list(found["Action"])}
    bound = {action for found in on_state if "Condition" in found for action in as_list(found["Action"])}
    assert (free, bound) == (reading, writing)
    conditions = [found["Condition"] for found in on_state if "Condition" in found]
    assert conditions == [{"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [item]}}]
    told = operations("client_keys.py", "fleet_store.py")
    assert {f"dynamodb:{operation}" for operation in told} == {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:UpdateItem",
        "dynamodb:PutItem",
    }


@pytest.mark.parametrize("role", ["RouterRole", "StreamingRole"])
def test_a_function_reads_the_providers_keys_of_its_own_stage_alone(role):
    (resource,) = [
        statement["Resource"]
        for statement in deployed(Stage="dev").statements(role)
        if statement["Action"] == "ssm:GetParameters"
    ]
    assert resource == "arn:aws:ssm:eu-central-1:123456789012:parameter/llm-router/dev/providers/*"


# Watching


@pytest.mark.parametrize(
    ("function", "role", "group"),
    [
        ("RouterFunction", "RouterRole", "RouterLogs"),
        ("StreamingFunction", "StreamingRole", "StreamingLogs"),
        ("StatsFunction", "StatsRole", "StatsLogs"),
    ],
)
def test_a_function_writes_to_a_log_group_of_its_own_that_forgets(function, role, group):
    of = deployed(LogRetentionDays="14")
    assert of.resources[function]["Properties"]["LoggingConfig"]["LogGroup"] == group
    assert of.resources[group]["Properties"]["RetentionInDays"] == "14"
    assert allowed(role, f"{group}.Arn") == {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_every_alarm_goes_to_the_topic_and_says_what_it_means():
    alarms = deployed().of_type("AWS::CloudWatch::Alarm")
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["AlarmTopic"], name
        assert alarm["AlarmDescription"].endswith("."), name
        assert alarm["TreatMissingData"] in ("notBreaching", "breaching", "ignore"), name
    assert len(alarms) <= 10, "ten are free of charge"


def test_every_alarm_watches_something_that_this_stack_has():
    """A metric that nobody writes never alarms. The gateway's are those of the API by its name and of its stage."""
    of = deployed(Stage="dev")
    ((_, api),) = of.of_type("AWS::ApiGateway::RestApi").items()
    ((_, stage_of_api),) = of.of_type("AWS::ApiGateway::Stage").items()
    there = {
        *(("AWS/Lambda", frozenset({("FunctionName", function)})) for function in FUNCTIONS),
        ("AWS/ApiGateway", frozenset({("ApiName", api["Name"]), ("Stage", stage_of_api["StageName"])})),
        ("llm-router/dev", frozenset()),
    }
    watched = {
        (
            alarm["Namespace"],
            frozenset((dimension["Name"], dimension["Value"]) for dimension in alarm.get("Dimensions", [])),
        )
        for alarm in of.of_type("AWS::CloudWatch::Alarm").values()
    }
    assert watched == there


def test_every_number_is_taken_from_the_log_of_the_function_that_writes_it():
    groups = {found["LogGroupName"]: set() for found in deployed().of_type("AWS::Logs::MetricFilter").values()}
    for name, found in deployed().of_type("AWS::Logs::MetricFilter").items():
        groups[found["LogGroupName"]].add(name)
    assert groups == {
        "RouterLogs": {"AllProvidersFailed", "ProviderRefused", "LedgerUnwritten"},
        "StreamingLogs": {"AllProvidersFailedStreaming", "ProviderRefusedStreaming", "LedgerUnwrittenStreaming"},
        "StatsLogs": {"AggregatorBehind"},
    }


@pytest.mark.parametrize("name", ["AllProvidersFailed", "ProviderRefused", "LedgerUnwritten"])
def test_a_line_counts_the_same_whichever_door_wrote_it(name):
    filters = deployed().of_type("AWS::Logs::MetricFilter")
    assert filters[f"{name}Streaming"] == filters[name] | {"LogGroupName": "StreamingLogs"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_errors_of_every_function_are_watched(function):
    watched = [
        alarm["Dimensions"]
        for alarm in deployed().of_type("AWS::CloudWatch::Alarm").values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    ]
    assert [{"Name": "FunctionName", "Value": function}] in watched


def test_cloudwatch_may_speak_to_the_topic():
    """It may not use the account's own key for SNS: an alarm on a topic so encrypted is lost without a word."""
    assert "KmsMasterKeyId" not in deployed().resources["AlarmTopic"]["Properties"]
    (statement,) = deployed().resources["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_nobody_is_mailed_unless_an_address_is_given():
    assert "AlarmSubscription" not in deployed().resources
    given = deployed(AlarmEmail="someone@example.com").resources["AlarmSubscription"]["Properties"]
    assert given == {"TopicArn": "AlarmTopic", "Protocol": "email", "Endpoint": "someone@example.com"}


def test_every_number_taken_from_the_log_has_an_alarm():
    def metrics(rows):
        return {
            (row["MetricNamespace"] if "MetricNamespace" in row else row["Namespace"], row["MetricName"])
            for row in rows
        }

    filters = deployed().of_type("AWS::Logs::MetricFilter").values()
    alarms = deployed().of_type("AWS::CloudWatch::Alarm").values()
    taken = metrics(row for found in filters for row in found["MetricTransformations"])
    assert taken == metrics(alarm for alarm in alarms if not alarm["Namespace"].startswith("AWS/"))


def test_the_events_that_are_counted_are_those_that_the_library_logs():
    source = "\n".join(path.read_text() for path in LIBRARY.rglob("*.py"))
    logged = set(re.findall(r"\bevent\"?\s*[=:]\s*\"([a-z._]+)\"", source))
    patterns = [found["FilterPattern"] for found in deployed().of_type("AWS::Logs::MetricFilter").values()]
    counted = {name for pattern in patterns for name in re.findall(r"\$\.event = \"([^\"]+)\"", pattern)}
    assert counted == {"request", "provider_refused", "ledger.unwritten", "aggregated"}
    assert counted <= logged
    assert any(f'$.error_code = "{AllProvidersFailedError.code}"' in pattern for pattern in patterns)
    assert "behind_s" in (LIBRARY / "stats_job.py").read_text()


def test_the_stats_function_runs_on_its_schedule_and_is_missed_when_it_does_not():
    ((_, schedule),) = deployed(StatsEveryMinutes="7").of_type("AWS::Scheduler::Schedule").items()
    assert schedule["ScheduleExpression"] == "rate(7 minutes)"
    assert schedule["Target"]["Arn"] == "StatsFunction.Arn"
    assert "Input" not in schedule["Target"], "what comes is the scheduler's own event, as events/schedule.json has it"
    silent = deployed().resources["StatsSilentAlarm"]["Properties"]
    assert silent["TreatMissingData"] == "breaching"
    assert (
        silent["Period"] * silent["EvaluationPeriods"] >= 2 * 60 * SOURCE["Parameters"]["StatsEveryMinutes"]["MaxValue"]
    )
    assert SOURCE["Parameters"]["StatsEveryMinutes"]["MinValue"] > 1, "the scheduler wants 'rate(1 minute)'"


def test_the_recorded_event_is_one_of_this_schedule():
    """https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html: `detail` is text there."""
    ((_, schedule),) = deployed().of_type("AWS::Scheduler::Schedule").items()
    event = json.loads((ROOT / "events/schedule.json").read_text())
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.scheduler", "Scheduled Event", "{}")
    arn = f"arn:aws:scheduler:{event['region']}:{event['account']}:schedule/default/{schedule['Name']}"
    assert event["resources"] == [arn]


def test_a_run_of_the_stats_function_that_fails_is_not_repeated():
    """The next one does what it left; a repetition would run beside it."""
    ((_, schedule),) = deployed().of_type("AWS::Scheduler::Schedule").items()
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    ((_, invoked),) = deployed().of_type("AWS::Lambda::EventInvokeConfig").items()
    assert (invoked["FunctionName"], invoked["MaximumRetryAttempts"]) == ("StatsFunction", 0)


def test_nothing_is_traced_and_no_concurrency_is_reserved():
    for function in deployed().of_type("AWS::Lambda::Function").values():
        assert not function.keys() & {"TracingConfig", "ReservedConcurrentExecutions"}


# What the operator's scripts rely on


def test_the_outputs_are_those_that_the_scripts_read():
    outputs = stack.outputs_of({name: name for name in SOURCE["Outputs"]})
    assert outputs.api_url == "ApiUrl"
    assert SOURCE["Outputs"].keys() == {
        *("ApiUrl", "PageUrl", "PageBucket", "LedgerTable", "StateTable"),
        *("RouterFunction", "StreamingFunction", "StatsFunction"),
        *("RouterLogs", "StreamingLogs", "StatsLogs", "AlarmTopic"),
    }
    url = deployed().resolved(SOURCE["Outputs"]["ApiUrl"]["Value"])
    assert url == "https://RouterApi.execute-api.eu-central-1.amazonaws.com/prod"
