"""Aurora Serverless v2. Secrets Manager holds its password and rotates it."""

from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager

from infra.deployment import NOTHING, Deployment, acknowledge_rule, add_output

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
    """Add the cluster, its instances, and the secret of the functions' user."""
    cluster = add_cluster(stack, deployment)
    add_logs(stack, deployment, cluster)
    add_instances(stack, deployment, cluster)
    secret = cluster.attr_master_user_secret_secret_arn
    app = add_secret(stack, deployment)
    host = cluster.attr_endpoint_address
    if deployment.spec["has_proxy"]:
        host = add_proxy(stack, deployment, cluster, app)
    deployment.publish(stack, "database-host", host)
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
        "parameters",  # without a name, so that another major version can replace it
        family=engine["family"],
        description="TLS for all",
        parameters=engine["parameters"],
    )
    subnets = rds.CfnDBSubnetGroup(
        stack,
        "subnets",
        db_subnet_group_name=deployment.prefix,
        db_subnet_group_description="Private subnets",
        subnet_ids=deployment.subnets(stack),
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
        vpc_security_group_ids=[find_group(stack, deployment)],
        enable_cloudwatch_logs_exports=engine["logs"],
        enable_http_endpoint=True,  # the Data API, for `make sql` and the query editor
        backup_retention_period=settings["backup_days"],
        copy_tags_to_snapshot=True,
        # extended support is charged by vCPU
        engine_lifecycle_support="open-source-rds-extended-support-disabled",
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


def find_group(stack: Stack, deployment: Deployment) -> Any:
    """Return the ID of the database's security group; add it to an existing network."""
    if not deployment.network:
        return deployment.published(stack, "database-group")
    port = deployment.database_port
    group = ec2.CfnSecurityGroup(
        stack,
        "database-group",
        group_name=f"{deployment.prefix}-database",
        group_description="Database",
        vpc_id=deployment.network["vpc"],
        security_group_egress=[NOTHING],
    )
    ec2.CfnSecurityGroupIngress(
        stack,
        "database-from-functions",
        group_id=group.attr_group_id,
        source_security_group_id=deployment.network["security_group"],
        description="SQL from functions",
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
    )
    if deployment.spec["has_proxy"]:
        deployment.connect_proxy(stack, group.attr_group_id)
    return group.attr_group_id


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
            # in tiers 0 and 1, an idle reader grows and costs as much as the writer
            promotion_tier=2,
            enable_performance_insights=True,
        )


def add_secret(stack: Stack, deployment: Deployment) -> secretsmanager.CfnSecret:
    """Add the secret of the functions' user, without a value.

    `make deploy` creates the user and puts its password there, so that no template ever
    holds it. The functions' roles, of the stack `role`, may read it.
    """
    secret = secretsmanager.CfnSecret(
        stack,
        "app",
        name=deployment.spec["database"]["DB_SECRET"],
        description="User and password of the functions",
    )
    acknowledge_rule(
        secret,
        "AwsSolutions-SMG4",
        "Each deployment and make rotate change the password",
    )
    return secret


def add_proxy(
    stack: Stack,
    deployment: Deployment,
    cluster: rds.CfnDBCluster,
    secret: secretsmanager.CfnSecret,
) -> str:
    """Add RDS Proxy in front of the cluster; return its host.

    It logs in as the functions do.
    """
    families = {"mysql": "MYSQL", "postgres": "POSTGRESQL"}
    proxy = rds.CfnDBProxy(
        stack,
        "proxy",
        db_proxy_name=deployment.prefix,
        engine_family=families[deployment.database],
        role_arn=deployment.role_arn("proxy"),
        require_tls=True,
        idle_client_timeout=600,  # seconds, as long as the database keeps idle sessions
        vpc_subnet_ids=deployment.subnets(stack),
        vpc_security_group_ids=list(cluster.vpc_security_group_ids or []),
        auth=[
            rds.CfnDBProxy.AuthFormatProperty(
                auth_scheme="SECRETS", iam_auth="DISABLED", secret_arn=secret.ref
            )
        ],
    )
    pool = rds.CfnDBProxyTargetGroup.ConnectionPoolConfigurationInfoFormatProperty(
        max_connections_percent=90,
        connection_borrow_timeout=60,  # seconds
    )
    target = rds.CfnDBProxyTargetGroup(
        stack,
        "proxy-target",
        db_proxy_name=proxy.ref,
        target_group_name="default",
        db_cluster_identifiers=[cluster.ref],
        connection_pool_configuration_info=pool,
    )
    target.add_resource_dependency(stack.node.find_child("instance0"))
    return str(proxy.attr_endpoint)
