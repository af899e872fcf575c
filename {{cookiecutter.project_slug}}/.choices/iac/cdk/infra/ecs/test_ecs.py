"""Each container has a service, which stops gracefully and scales with the backlog."""

from collections.abc import Callable
from typing import Any

from infra.conftest import FUNCTIONS

Synthesise = Callable[..., Any]
SERVICE = "AWS::ECS::Service"


def test_each_container_is_a_service(synthesise: Synthesise) -> None:
    synthesise("small").resource_count_is(SERVICE, 0)
    synthesise("large").resource_count_is(SERVICE, len(FUNCTIONS))


def test_logs_outlive_a_move_to_lambda(synthesise: Synthesise) -> None:
    synthesise("small").resource_count_is("AWS::Logs::LogGroup", len(FUNCTIONS))


def test_task_is_read_only_and_has_no_password(synthesise: Synthesise) -> None:
    tasks = synthesise("large").find_resources("AWS::ECS::TaskDefinition").values()
    assert len(tasks) == len(FUNCTIONS)
    for task in tasks:
        assert task["Properties"]["Memory"] == "1024"
        [container] = task["Properties"]["ContainerDefinitions"]
        assert container["ReadonlyRootFilesystem"]
        assert container["StopTimeout"] == 120
        assert "DB_PASS" not in {each["Name"] for each in container["Environment"]}


def test_task_has_its_own_variables_only(synthesise: Synthesise) -> None:
    template = synthesise("large")
    properties = {"Properties": {"Family": "test-large-enrich"}}
    [task] = template.find_resources("AWS::ECS::TaskDefinition", properties).values()
    [container] = task["Properties"]["ContainerDefinitions"]
    variables = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert set(variables) == {
        *("API_KEY_SECRET", "API_URL", "AWS_REGION", "BUCKET", "FUNCTION_NAME"),
        *("GRACE", "READ_QUEUE"),
    }
    assert variables["API_KEY_SECRET"] == "partner/api-key"
    assert variables["API_URL"] == "https://large.example.com"


def test_services_are_in_the_groups_they_need(synthesise: Synthesise) -> None:
    services = synthesise("large").find_resources(SERVICE).values()
    groups = {
        service["Properties"]["ServiceName"]: len(
            service["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"][
                "SecurityGroups"
            ]
        )
        for service in services
    }
    assert groups == dict.fromkeys(FUNCTIONS, 2) | {"fanout": 1}


def test_tasks_scale_with_the_backlog(synthesise: Synthesise) -> None:
    synthesise("large").all_resources_properties(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 100}},
    )


def test_service_can_keep_its_revision(synthesise: Synthesise) -> None:
    """A rollback needs the task definition before, and a deploy may have to keep it."""
    template = synthesise("large").to_json()
    resources = template["Resources"]
    for service in resources.values():
        if service["Type"] != SERVICE:
            continue
        name = service["Properties"]["ServiceName"]
        condition, *choice = service["Properties"]["TaskDefinition"]["Fn::If"]
        parameter, task = (each["Ref"] for each in choice)
        assert template["Parameters"][parameter]["Default"] == ""
        is_empty = {"Fn::Equals": [{"Ref": parameter}, ""]}
        assert template["Conditions"][condition] == {"Fn::Not": [is_empty]}
        assert resources[task]["Properties"]["Family"] == f"test-large-{name}"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            assert resources[task][policy] == "Retain"


def test_existing_network_and_database_are_used(synthesise: Synthesise) -> None:
    template = synthesise("existing")
    place = {
        "AssignPublicIp": "DISABLED",
        "SecurityGroups": ["sg-0123456789abcdef0"],
        "Subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    }
    service = {"NetworkConfiguration": {"AwsvpcConfiguration": place}}
    template.has_resource_properties(SERVICE, service)
    host = {"Name": "DB_HOST", "Value": "db.example.internal"}
    assert str(host) in str(template.to_json())
