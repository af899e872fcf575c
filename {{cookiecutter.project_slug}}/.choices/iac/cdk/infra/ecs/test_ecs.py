"""Each container has a service, which stops gracefully and scales with the backlog."""

from collections.abc import Callable
from typing import Any

from tools.project import functions

Synthesise = Callable[..., Any]
SERVICE = "AWS::ECS::Service"


def test_each_container_is_a_service(synthesise: Synthesise) -> None:
    synthesise("small").resource_count_is(SERVICE, 0)
    synthesise("large").resource_count_is(SERVICE, len(functions()))


def test_logs_outlive_a_move_to_lambda(synthesise: Synthesise) -> None:
    synthesise("small").resource_count_is("AWS::Logs::LogGroup", len(functions()))


def test_task_is_read_only_and_has_no_password(synthesise: Synthesise) -> None:
    tasks = synthesise("large").find_resources("AWS::ECS::TaskDefinition").values()
    assert len(tasks) == len(functions())
    for task in tasks:
        assert task["Properties"]["Memory"] == "1024"
        [container] = task["Properties"]["ContainerDefinitions"]
        assert container["ReadonlyRootFilesystem"]
        assert container["StopTimeout"] == 120
        assert "DB_PASS" not in {each["Name"] for each in container["Environment"]}


def test_tasks_scale_with_the_backlog(synthesise: Synthesise) -> None:
    synthesise("large").all_resources_properties(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 100}},
    )
