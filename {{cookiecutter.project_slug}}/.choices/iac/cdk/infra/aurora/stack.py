"""Aurora Serverless v2. Secrets Manager holds its password and rotates it."""

from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds

from infra.deployment import Deployment, acknowledge_rule, add_output

# Idle sessions end after ten minutes, because Aurora pauses only when none is open.
ENGINES: dict[str, dict[str, Any]] = {
    "mysql": {
        "name": "aurora-mysql",
        "version": "8.0.mysql_aurora.3.12.0",
        "family": "aurora-mysql8.0",
        "logs": ["audit", "error"],
        "parameters": {
            "require_secure_transport": "ON",
            "local_infile": "1",
            "wait_timeout": "600",
            "server_audit_logging": "1",
            "server_audit_events": "CONNECT",
        },
    },
    "postgres": {
        "name": "aurora-postgresql",
        "version": "17.9",
        "family": "aurora-postgresql17",
        "logs": ["postgresql"],
        "parameters": {"rds.force_ssl": "1", "idle_session_timeout": "600000"},
    },
}


def add_resources(stack: Stack, deployment: Deployment) -> None:
    """Add the cluster, its instances, and the permission to read its password."""
    cluster = add_cluster(stack, deployment)
    add_logs(stack, deployment, cluster)
    add_instances(stack, deployment, cluster)
    secret = cluster.attr_master_user_secret_secret_arn
    allow_reading(stack, deployment, secret)
    host = cluster.attr_endpoint_address
    deployment.publish(stack, "database-host", host)
    deployment.publish(stack, "database-secret", secret)
    add_output(
        stack,
        "Cluster",
        "ARN of the cluster, for the Data API",
        cluster.attr_db_cluster_arn,
    )
    add_output(stack, "Endpoint", "Host of the database", host)
    add_output(stack, "Secret", "ARN of the secret with user and password", secret)


def add_cluster(stack: Stack, deployment: Deployment) -> rds.CfnDBCluster:
    """Add the cluster with its parameters and subnets."""
    engine = ENGINES[deployment.database]
    settings = deployment.settings["database"]
    group = rds.CfnDBClusterParameterGroup(
        stack,
        "parameters",
        db_cluster_parameter_group_name=deployment.prefix,
        family=engine["family"],
        description="TLS for all",
        parameters=engine["parameters"],
    )
    subnets = rds.CfnDBSubnetGroup(
        stack,
        "subnets",
        db_subnet_group_name=deployment.prefix,
        db_subnet_group_description="Private subnets",
        subnet_ids=deployment.published_list(stack, "subnets"),
    )
    cluster = rds.CfnDBCluster(
        stack,
        "main",
        db_cluster_identifier=deployment.prefix,
        engine=engine["name"],
        engine_version=engine["version"],
        database_name="main",
        master_username="worker",
        manage_master_user_password=True,
        storage_encrypted=True,
        db_subnet_group_name=subnets.ref,
        db_cluster_parameter_group_name=group.ref,
        vpc_security_group_ids=[deployment.published(stack, "database-group")],
        enable_cloudwatch_logs_exports=engine["logs"],
        enable_http_endpoint=True,  # the Data API, for `make sql` and the query editor
        backup_retention_period=settings["backup_days"],
        copy_tags_to_snapshot=True,
        deletion_protection=settings["is_protected"],
        serverless_v2_scaling_configuration=(
            rds.CfnDBCluster.ServerlessV2ScalingConfigurationProperty(
                min_capacity=settings["min_capacity"],
                max_capacity=settings["max_capacity"],
            )
        ),
    )
    # an environment that keeps backups for one day needs no final snapshot either
    keeps_snapshot = settings["backup_days"] > 1
    cluster.apply_removal_policy(
        RemovalPolicy.SNAPSHOT if keeps_snapshot else RemovalPolicy.DESTROY
    )
    acknowledge_rules(cluster, deployment)
    return cluster


def acknowledge_rules(cluster: rds.CfnDBCluster, deployment: Deployment) -> None:
    """Acknowledge the rules that the cluster breaks."""
    reasons = {
        "RDS6": "Functions log in with a secret; the shim has no IAM login",
        "RDS11": "The security group restricts access, whatever the port",
        "RDS10": "config/deploy.yml protects the environments that need it",
    }
    if deployment.database == "mysql":
        reasons["RDS14"] = "Aurora's backups go back backup_days"
    for rule, reason in reasons.items():
        acknowledge_rule(cluster, f"AwsSolutions-{rule}", reason)


def add_logs(stack: Stack, deployment: Deployment, cluster: rds.CfnDBCluster) -> None:
    """Add log groups: RDS's own would never expire, and would outlive the cluster."""
    for name in ENGINES[deployment.database]["logs"]:
        log = logs.CfnLogGroup(
            stack,
            f"log-{name}",
            log_group_name=f"/aws/rds/cluster/{deployment.prefix}/{name}",
            retention_in_days=deployment.spec["log_days"],
        )
        cluster.add_resource_dependency(log)


def add_instances(
    stack: Stack, deployment: Deployment, cluster: rds.CfnDBCluster
) -> None:
    """Add the instances."""
    for number in range(deployment.settings["database"]["instances"]):
        rds.CfnDBInstance(
            stack,
            f"instance{number}",
            db_instance_identifier=f"{deployment.prefix}-{number}",
            db_cluster_identifier=cluster.ref,
            engine=ENGINES[deployment.database]["name"],
            db_instance_class="db.serverless",
            # the next deploy would try to go back to the version above
            auto_minor_version_upgrade=False,
            enable_performance_insights=True,
        )


def allow_reading(stack: Stack, deployment: Deployment, secret: str) -> None:
    """Let the roles of functions that use the database read its password.

    The stack `role` creates them.
    """
    names = [name for name, each in deployment.functions.items() if each["database"]]
    for name in names:
        for kind in ("execution", "task"):
            iam.CfnRolePolicy(
                stack,
                f"{name}-{kind}",
                role_name=f"{deployment.prefix}-{name}-{kind}",
                policy_name="secret",
                policy_document=iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            sid="ReadPassword",
                            actions=["secretsmanager:GetSecretValue"],
                            resources=[secret],
                        )
                    ]
                ),
            )
