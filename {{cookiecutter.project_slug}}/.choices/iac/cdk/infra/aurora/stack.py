"""Aurora Serverless v2. Secrets Manager holds its password and changes it."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds

from common import Environment, accept, tell

# Idle sessions end after ten minutes: each open one keeps Aurora from its pause.
ENGINES = {
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


def add_resources(stack: Stack, environment: Environment) -> None:
    """Add the cluster, its instances, and who may read its password."""
    engine = ENGINES[environment.database]
    size = environment.settings["database"]
    group = rds.CfnDBClusterParameterGroup(
        stack,
        "parameters",
        db_cluster_parameter_group_name=environment.prefix,
        family=engine["family"],
        description="TLS for all",
        parameters=engine["parameters"],
    )
    subnets = rds.CfnDBSubnetGroup(
        stack,
        "subnets",
        db_subnet_group_name=environment.prefix,
        db_subnet_group_description="Private subnets",
        subnet_ids=environment.shared_list(stack, "subnets"),
    )
    cluster = rds.CfnDBCluster(
        stack,
        "main",
        db_cluster_identifier=environment.prefix,
        engine=engine["name"],
        engine_version=engine["version"],
        database_name="main",
        master_username="worker",
        manage_master_user_password=True,
        storage_encrypted=True,
        db_subnet_group_name=subnets.ref,
        db_cluster_parameter_group_name=group.ref,
        vpc_security_group_ids=[environment.shared(stack, "database-group")],
        enable_cloudwatch_logs_exports=engine["logs"],
        enable_http_endpoint=True,  # tables are made by the console's query editor
        backup_retention_period=size["backup_days"],
        copy_tags_to_snapshot=True,
        deletion_protection=size["is_protected"],
        serverless_v2_scaling_configuration=(
            rds.CfnDBCluster.ServerlessV2ScalingConfigurationProperty(
                min_capacity=size["min_capacity"], max_capacity=size["max_capacity"]
            )
        ),
    )
    accept(cluster, "AwsSolutions-RDS6", "The shim's databases have no login by IAM")
    accept(cluster, "AwsSolutions-RDS11", "Who knows the port still cannot reach it")
    accept(cluster, "AwsSolutions-RDS10", "config/deploy.yml protects where it must")
    if environment.database == "mysql":
        accept(cluster, "AwsSolutions-RDS14", "Its own backups go back backup_days")
    # where backups are kept for a day, the last day is worth nothing, too
    is_kept = size["backup_days"] > 1
    cluster.apply_removal_policy(
        RemovalPolicy.SNAPSHOT if is_kept else RemovalPolicy.DESTROY
    )
    for name in engine["logs"]:
        # RDS would make them itself, without an end, and leave them behind
        log = logs.CfnLogGroup(
            stack,
            f"log-{name}",
            log_group_name=f"/aws/rds/cluster/{environment.prefix}/{name}",
            retention_in_days=environment.log_days,
        )
        cluster.add_resource_dependency(log)
    for number in range(size["instances"]):
        rds.CfnDBInstance(
            stack,
            f"instance{number}",
            db_instance_identifier=f"{environment.prefix}-{number}",
            db_cluster_identifier=cluster.ref,
            engine=engine["name"],
            db_instance_class="db.serverless",
            auto_minor_version_upgrade=False,  # the next deploy would go back
            enable_performance_insights=True,
        )
    secret = cluster.attr_master_user_secret_secret_arn
    add_readers(stack, environment, secret)
    host = cluster.attr_endpoint_address
    environment.share(stack, "database-host", host)
    environment.share(stack, "database-secret", secret)
    tell(
        stack,
        "Cluster",
        "ARN of the cluster, for the Data API",
        cluster.attr_db_cluster_arn,
    )
    tell(stack, "Endpoint", "Host of the database", host)
    tell(stack, "Secret", "ARN of the secret with user and password", secret)


def add_readers(stack: Stack, environment: Environment, secret: str) -> None:
    """Let functions read the password; their roles are of the target role."""
    for name in environment.functions:
        for kind in ("execution", "task"):
            iam.CfnRolePolicy(
                stack,
                f"{name}-{kind}",
                role_name=f"{environment.prefix}-{name}-{kind}",
                policy_name="secret",
                policy_document=iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            sid="ReadThePassword",
                            actions=["secretsmanager:GetSecretValue"],
                            resources=[secret],
                        )
                    ]
                ),
            )
