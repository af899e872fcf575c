"""Lambdas: what feeds them, how large they are, what they know."""

from collections.abc import Callable
from typing import Any

import pytest

from sizes import names

Synthesise = Callable[..., Any]
MAPPING = "AWS::Lambda::EventSourceMapping"


def test_queues_feed_functions_whose_runtime_is_lambda(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is(MAPPING, len(names()))
    template.all_resources_properties(
        MAPPING,
        {
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        },
    )


@pytest.mark.parametrize("still_mapped", [[], ["worker"]])
def test_queue_feeds_a_container_s_lambda_only_until_the_container_runs(
    synthesise: Synthesise, still_mapped: list[str]
) -> None:
    template = synthesise("large", still_mapped=still_mapped)
    template.resource_count_is(MAPPING, len(set(names()) & set(still_mapped)))


def test_only_the_queue_tries_again(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is("AWS::Lambda::EventInvokeConfig", len(names()))
    template.all_resources_properties(
        "AWS::Lambda::EventInvokeConfig", {"MaximumRetryAttempts": 0}
    )


def test_deploy_yml_says_architecture_and_memory(synthesise: Synthesise) -> None:
    synthesise().all_resources_properties(
        "AWS::Lambda::Function", {"Architectures": ["arm64"], "MemorySize": 512}
    )


def test_environment_holds_where_the_password_is_never_the_password(
    synthesise: Synthesise,
) -> None:
    functions = synthesise().find_resources("AWS::Lambda::Function").values()
    assert len(functions) == len(names())
    for function in functions:
        variables = function["Properties"]["Environment"]["Variables"]
        assert set(variables) == {"DB_HOST", "DB_PORT", "DB_NAME", "DB_SECRET", "DB_CA"}
