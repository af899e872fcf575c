"""Lambdas have the configured trigger, size and environment."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk.assertions import Match

from infra.conftest import FUNCTIONS

Synthesise = Callable[..., Any]
GROUP = "AWS::CodeDeploy::DeploymentGroup"
MAPPING = "AWS::Lambda::EventSourceMapping"


def test_each_lambda_has_an_event_source_mapping(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is(MAPPING, len(FUNCTIONS))
    template.all_resources_properties(
        MAPPING,
        {
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        },
    )


def test_queues_feed_the_alias_of_each_lambda(synthesise: Synthesise) -> None:
    template = synthesise()
    alias = {"Name": "live", "FunctionVersion": "$LATEST"}
    template.resource_properties_count_is("AWS::Lambda::Alias", alias, len(FUNCTIONS))
    aliases = template.find_resources("AWS::Lambda::Alias")
    mappings = template.find_resources(MAPPING).values()
    fed = {each["Properties"]["FunctionName"]["Ref"] for each in mappings}
    assert fed == set(aliases)


@pytest.mark.parametrize("still_mapped", [[], ["worker"]])
def test_container_keeps_its_mapping_while_it_moves(
    synthesise: Synthesise, still_mapped: list[str]
) -> None:
    template = synthesise("large", still_mapped=still_mapped)
    template.resource_count_is(MAPPING, len(set(FUNCTIONS) & set(still_mapped)))


def test_lambda_itself_never_retries(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is("AWS::Lambda::EventInvokeConfig", len(FUNCTIONS))
    template.all_resources_properties(
        "AWS::Lambda::EventInvokeConfig", {"MaximumRetryAttempts": 0}
    )


def test_architecture_and_memory_are_as_configured(synthesise: Synthesise) -> None:
    synthesise().all_resources_properties(
        "AWS::Lambda::Function", {"Architectures": ["arm64"], "MemorySize": 512}
    )


def test_environment_holds_no_password(synthesise: Synthesise) -> None:
    template = synthesise()
    database = {"DB_HOST", "DB_PORT", "DB_NAME", "DB_SECRET", "DB_CA"}
    assert set(variables_of(template, "worker")) == {"BUCKET"} | database
    enrich = variables_of(template, "enrich")
    assert set(enrich) == {"BUCKET", "API_URL", "API_KEY_SECRET"}
    assert enrich["API_KEY_SECRET"] == "partner/api-key"
    fanout = variables_of(template, "fanout")
    assert fanout["SEND_QUEUES"] == "part=test-small-part-pending"


def test_lambdas_need_no_database_if_none_uses_it(synthesise: Synthesise) -> None:
    assert "database" not in str(synthesise("lean").to_json()["Parameters"])


def test_fifo_queue_has_no_batch_window(synthesise: Synthesise) -> None:
    queue = Match.string_like_regexp(":test-small-orders-pending.fifo$")
    synthesise().has_resource_properties(
        MAPPING,
        {
            "EventSourceArn": {"Fn::Join": ["", Match.array_with([queue])]},
            "MaximumBatchingWindowInSeconds": Match.absent(),
        },
    )


def test_codedeploy_releases_what_declares_it(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is(GROUP, 1)
    template.has_resource_properties(
        GROUP,
        {
            "DeploymentGroupName": "part",
            "AlarmConfiguration": Match.absent(),  # each deployment names its alarms
            "AutoRollbackConfiguration": {
                "Enabled": True,
                "Events": Match.array_with(["DEPLOYMENT_STOP_ON_ALARM"]),
            },
        },
    )
    canary = {"CanaryPercentage": 10, "CanaryInterval": 10}
    template.has_resource_properties(
        "AWS::CodeDeploy::DeploymentConfig",
        {
            "DeploymentConfigName": "test-small-canary-10-percent-10-minutes",
            "TrafficRoutingConfig": {
                "Type": "TimeBasedCanary",
                "TimeBasedCanary": canary,
            },
        },
    )


@pytest.mark.parametrize(
    ("env", "groups", "configs"), [("lean", 3, 2), ("large", 0, 0), ("local", 0, 0)]
)
def test_equal_canaries_share_a_configuration(
    synthesise: Synthesise, env: str, groups: int, configs: int
) -> None:
    """Containers and the emulator have none."""
    template = synthesise(env)
    template.resource_count_is(GROUP, groups)
    template.resource_count_is("AWS::CodeDeploy::DeploymentConfig", configs)


def variables_of(template: Any, name: str) -> dict[str, Any]:
    """Return the environment variables of a function's Lambda."""
    properties = {"Properties": {"FunctionName": f"test-small-{name}"}}
    found = template.find_resources("AWS::Lambda::Function", properties)
    [function] = found.values()
    variables: dict[str, Any] = function["Properties"]["Environment"]["Variables"]
    return variables


def test_existing_network_and_database_are_used(synthesise: Synthesise) -> None:
    template = synthesise("existing")
    variables = {
        "BUCKET": "company-files",
        "DB_CA": "/opt/rds-ca.pem",
        "DB_HOST": "db.example.internal",
        "DB_NAME": "shop",
        "DB_PORT": "5432",
        "DB_SECRET": "shop/database",
    }
    worker = {
        "FunctionName": "test-existing-worker",
        "Environment": {"Variables": variables},
        "VpcConfig": {
            "SecurityGroupIds": ["sg-0123456789abcdef0"],
            "SubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        },
    }
    template.has_resource_properties("AWS::Lambda::Function", worker)
    assert "subnets" not in str(template.to_json()["Parameters"])


def test_provisioned_pollers_replace_max_concurrency(synthesise: Synthesise) -> None:
    mapping = {
        "ProvisionedPollerConfig": {"MinimumPollers": 2, "MaximumPollers": 20},
        "ScalingConfig": Match.absent(),
    }
    synthesise("lean").resource_properties_count_is(MAPPING, mapping, 1)
