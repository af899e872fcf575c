"""Aurora requires TLS, manages its password, and is protected per environment."""

from collections.abc import Callable
from typing import Any

from aws_cdk.assertions import Match

Synthesise = Callable[..., Any]
CLUSTER = "AWS::RDS::DBCluster"
PARAMETERS = "AWS::RDS::DBClusterParameterGroup"


def test_postgres_requires_tls_and_ends_idle_sessions(synthesise: Synthesise) -> None:
    template = synthesise()
    template.has_resource_properties(CLUSTER, {"Engine": "aurora-postgresql"})
    template.has_resource_properties(
        PARAMETERS,
        {"Parameters": {"rds.force_ssl": "1", "idle_session_timeout": "600000"}},
    )


def test_mysql_requires_tls_and_allows_load_data(synthesise: Synthesise) -> None:
    template = synthesise(database="mysql")
    template.has_resource_properties(CLUSTER, {"Engine": "aurora-mysql"})
    parameters = {
        "require_secure_transport": "ON",
        "local_infile": "1",
        "wait_timeout": "600",
        "server_audit_logging": "1",
        "server_audit_events": "CONNECT",
    }
    template.has_resource_properties(PARAMETERS, {"Parameters": parameters})


def test_password_is_managed_and_storage_encrypted(synthesise: Synthesise) -> None:
    template = synthesise()
    template.has_resource_properties(
        CLUSTER,
        {
            "ManageMasterUserPassword": True,
            "MasterUserPassword": Match.absent(),
            "StorageEncrypted": True,
        },
    )


def test_only_functions_that_use_it_read_the_password(synthesise: Synthesise) -> None:
    policies = synthesise().find_resources("AWS::IAM::RolePolicy").values()
    assert {each["Properties"]["RoleName"] for each in policies} == {
        f"test-small-{name}-{kind}"
        for name in ("worker", "part", "nightly", "orders", "prices")
        for kind in ("execution", "task")
    }


def test_small_environment_can_be_destroyed(synthesise: Synthesise) -> None:
    template = synthesise("small")
    template.has_resource(
        CLUSTER,
        {"Properties": {"DeletionProtection": False}, "DeletionPolicy": "Delete"},
    )
    template.resource_count_is("AWS::RDS::DBInstance", 1)


def test_large_environment_is_protected(synthesise: Synthesise) -> None:
    synthesise("large").has_resource(
        CLUSTER,
        {
            "Properties": {"DeletionProtection": True, "BackupRetentionPeriod": 14},
            "DeletionPolicy": "Snapshot",
        },
    )


def test_engine_version_changes_by_deploy_only(synthesise: Synthesise) -> None:
    synthesise().all_resources_properties(
        "AWS::RDS::DBInstance", {"AutoMinorVersionUpgrade": False}
    )


def test_logs_expire(synthesise: Synthesise) -> None:
    name = "/aws/rds/cluster/test-small/postgresql"
    synthesise().has_resource_properties(
        "AWS::Logs::LogGroup", {"LogGroupName": name, "RetentionInDays": 30}
    )
