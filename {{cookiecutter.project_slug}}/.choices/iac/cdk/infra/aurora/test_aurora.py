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


def test_functions_have_a_secret_of_their_own(synthesise: Synthesise) -> None:
    without_value = {
        "Name": "test-small-app",
        "SecretString": Match.absent(),
        "GenerateSecretString": Match.absent(),
    }
    synthesise().has_resource_properties("AWS::SecretsManager::Secret", without_value)


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


def test_parameter_group_can_be_replaced(synthesise: Synthesise) -> None:
    synthesise().has_resource_properties(
        PARAMETERS, {"DBClusterParameterGroupName": Match.absent()}
    )


def test_idle_reader_and_old_engine_cost_nothing_more(synthesise: Synthesise) -> None:
    template = synthesise("large")
    template.all_resources_properties("AWS::RDS::DBInstance", {"PromotionTier": 2})
    disabled = "open-source-rds-extended-support-disabled"
    template.has_resource_properties(CLUSTER, {"EngineLifecycleSupport": disabled})


def test_logs_expire(synthesise: Synthesise) -> None:
    name = "/aws/rds/cluster/test-small/postgresql"
    synthesise().has_resource_properties(
        "AWS::Logs::LogGroup", {"LogGroupName": name, "RetentionInDays": 30}
    )


def test_existing_network_gets_a_group_for_the_database(
    synthesise: Synthesise,
) -> None:
    template = synthesise("shared")
    template.has_resource_properties(
        "AWS::EC2::SecurityGroup", {"VpcId": "vpc-0123456789abcdef0"}
    )
    # from the functions, and from the proxy
    template.resource_count_is("AWS::EC2::SecurityGroupIngress", 2)
    template.has_resource_properties(
        "AWS::EC2::SecurityGroupIngress",
        {"SourceSecurityGroupId": "sg-0123456789abcdef0", "FromPort": 5432},
    )
    subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    template.has_resource_properties("AWS::RDS::DBSubnetGroup", {"SubnetIds": subnets})


def test_proxy_requires_tls_and_logs_in_as_functions(synthesise: Synthesise) -> None:
    synthesise("small").resource_count_is("AWS::RDS::DBProxy", 0)
    template = synthesise("large")
    auth = {"AuthScheme": "SECRETS", "IAMAuth": "DISABLED", "SecretArn": {"Ref": "app"}}
    proxy = {"EngineFamily": "POSTGRESQL", "RequireTLS": True, "Auth": [auth]}
    template.has_resource_properties("AWS::RDS::DBProxy", proxy)
    template.resource_count_is("AWS::RDS::DBProxyTargetGroup", 1)
    host = {"Name": "/test-large/database-host"}
    endpoint = {"Value": {"Fn::GetAtt": ["proxy", "Endpoint"]}}
    template.has_resource_properties("AWS::SSM::Parameter", host | endpoint)
