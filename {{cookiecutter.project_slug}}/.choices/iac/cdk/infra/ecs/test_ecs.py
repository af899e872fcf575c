"""Services: one for each container, which may stop in peace and follows the backlog."""

from collections.abc import Callable
from typing import Any

from sizes import names

Synthesise = Callable[..., Any]
SERVICE = "AWS::ECS::Service"


def test_function_is_a_service_if_its_runtime_is_container(
    synthesise: Synthesise,
) -> None:
    synthesise("small").resource_count_is(SERVICE, 0)
    synthesise("large").resource_count_is(SERVICE, len(names()))


def test_logs_outlive_a_move_to_lambda(synthesise: Synthesise) -> None:
    synthesise("small").resource_count_is("AWS::Logs::LogGroup", len(names()))


def test_root_is_read_only_and_there_is_time_to_stop_and_no_password(
    synthesise: Synthesise,
) -> None:
    tasks = synthesise("large").find_resources("AWS::ECS::TaskDefinition").values()
    assert len(tasks) == len(names())
    for task in tasks:
        assert task["Properties"]["Memory"] == "1024"
        [container] = task["Properties"]["ContainerDefinitions"]
        assert container["ReadonlyRootFilesystem"]
        assert container["StopTimeout"] == 120
        assert "DB_PASS" not in {each["Name"] for each in container["Environment"]}


def test_tasks_follow_the_backlog(synthesise: Synthesise) -> None:
    synthesise("large").all_resources_properties(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 100}},
    )
