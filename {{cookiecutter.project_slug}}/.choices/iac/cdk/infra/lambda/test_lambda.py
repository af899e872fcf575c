"""Lambdas have the configured trigger, size and environment."""

from collections.abc import Callable
from typing import Any

import pytest

from tools.project import functions

Synthesise = Callable[..., Any]
MAPPING = "AWS::Lambda::EventSourceMapping"


def test_each_lambda_has_an_event_source_mapping(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is(MAPPING, len(functions()))
    template.all_resources_properties(
        MAPPING,
        {
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        },
    )


@pytest.mark.parametrize("still_mapped", [[], ["worker"]])
def test_container_keeps_its_mapping_while_it_moves(
    synthesise: Synthesise, still_mapped: list[str]
) -> None:
    template = synthesise("large", still_mapped=still_mapped)
    template.resource_count_is(MAPPING, len(set(functions()) & set(still_mapped)))


def test_lambda_itself_never_retries(synthesise: Synthesise) -> None:
    template = synthesise()
    template.resource_count_is("AWS::Lambda::EventInvokeConfig", len(functions()))
    template.all_resources_properties(
        "AWS::Lambda::EventInvokeConfig", {"MaximumRetryAttempts": 0}
    )


def test_architecture_and_memory_are_as_configured(synthesise: Synthesise) -> None:
    synthesise().all_resources_properties(
        "AWS::Lambda::Function", {"Architectures": ["arm64"], "MemorySize": 512}
    )


def test_environment_holds_no_password(synthesise: Synthesise) -> None:
    lambdas = synthesise().find_resources("AWS::Lambda::Function").values()
    assert len(lambdas) == len(functions())
    for function in lambdas:
        variables = function["Properties"]["Environment"]["Variables"]
        assert set(variables) == {"DB_HOST", "DB_PORT", "DB_NAME", "DB_SECRET", "DB_CA"}
