"""Terraform and CDK deploy the same resources, with the same properties.

Terraform applies its stacks to a mock of AWS and prints the state as JSON; CDK
synthesises its templates. `KINDS` pairs the resource types and properties of the two,
and each pair becomes a fact to compare. Properties that are not compared are listed
with the reason.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from baking import Project, bake
from deploy_helpers import STACKS, with_cdk_node
from test_choices import files

# Environments of infra/tests/deploy.yml, which differ in all settings.
ENVIRONMENTS = {
    "small": "postgres",
    "large": "mysql",
    "lean": "postgres",
    "existing": "postgres",
    "shared": "mysql",
}
# Stacks that they do not have, because their resources exist.
EXISTING = {"existing": {"network", "aurora"}, "shared": {"network"}}
FUNCTIONS = ("worker", "fanout", "part", "enrich", "nightly", "orders", "prices")
# All that the functions of the environment small may do, as actions and resources.
SMALL = "arn:aws:s3:::test-small-raw-123456789012"
READ = "s3:GetObject s3:GetObjectVersion"
DECLARED = {
    "worker": {READ: f"{SMALL}/worker/*", "s3:ListBucket": SMALL},
    "fanout": {
        READ: f"{SMALL}/incoming/*.csv",
        "s3:ListBucket": SMALL,
        "sqs:GetQueueUrl sqs:SendMessage": (
            "arn:aws:sqs:eu-west-1:123456789012:test-small-part-pending"
        ),
    },
    "part": {},
    "enrich": {
        READ: f"{SMALL}/incoming/*",
        "s3:ListBucket": SMALL,
        "s3:AbortMultipartUpload s3:PutObject": f"{SMALL}/enriched/*",
        "secretsmanager:GetSecretValue": (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:partner/api-key-??????"
        ),
        "dynamodb:PutItem": (
            "arn:aws:dynamodb:eu-west-1:123456789012:table/test-small-seen"
        ),
    },
    "nightly": {},
    "orders": {},
    "prices": {},
}
RECEIVE = (
    "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes "
    "sqs:GetQueueUrl sqs:ReceiveMessage"
)
# Files outside of infra/ that belong to one IaC tool.
DIFFERENT = {
    *(".portable.json", "docs/infrastructure.md", "docs/roles.md"),
    *("tools/iac.py", "tools/state_bucket.py", "tools/cdk_cli.py"),
    "tools/qualifier.py",
}
QUEUES = "sqs:eu-west-1:123456789012:"
# The values of infra/tests/aws.tfmock.hcl.
GIVEN = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::URLSuffix": "amazonaws.com",
    "S3PrefixList": "pl-1",
    "DynamodbPrefixList": "pl-1",
    "Zones": [f"eu-west-1{letter}" for letter in "abcdef"],
    "layer": "arn:aws:lambda:eu-west-1:123456789012:layer:test:1",
    "database-host": "main.example",
    "database-group": "sg-1",
    "function-group": "sg-function",
    "internet-group": "sg-internet",
    "sql-group": "sg-sql",
    "subnets": ["subnet-1", "subnet-2"],
}
GIVEN["MasterUserSecret.SecretArn"] = (
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:main"
)
RUN = """\
mock_provider "aws" {
  source = "../../../../infra/tests/%(database)s"
}
variables {
  environment = "%(environment)s"
  database    = "%(database)s"
}
run "%(environment)s" {
%(overrides)s}
"""
# The mock has one ID for all groups and one ARN for all queues, and invents attributes
# without a default.
OVERRIDE_GROUP = """\
  override_data {
    target = module.%(stack)s.data.aws_security_group.group["%(group)s"]
    values = { id = "sg-%(group)s" }
  }
"""
OVERRIDE_QUEUE = """\
  override_resource {
    target = module.queue.aws_sqs_queue.%(kind)s["%(name)s"]
    values = { arn = "arn:aws:%(queue)s"%(more)s }
  }
"""


class Kind(NamedTuple):
    """A resource type in CloudFormation and in Terraform.

    Attributes:
        cdk: CloudFormation's type, without `AWS::`.
        terraform: Terraform's type, without `aws_`.
        names: the properties that identify a resource of this type, CloudFormation's
            and Terraform's; None if there is only one, or all are compared together.
        same: paths of properties that must be equal, CloudFormation's to Terraform's;
            dots separate the keys of nested properties.
    """

    cdk: str
    terraform: str
    names: tuple[str, str] | None
    same: dict[str, str]


KINDS = [
    Kind(
        "EC2::VPC",
        "vpc",
        None,
        {"CidrBlock": "cidr_block", "EnableDnsHostnames": "enable_dns_hostnames"},
    ),
    Kind(
        "EC2::Subnet",
        "subnet",
        ("CidrBlock", "cidr_block"),
        {"AvailabilityZone": "availability_zone", "Tags.Name": "tags.Name"},
    ),
    Kind("EC2::RouteTable", "route_table", None, {"Tags.Name": "tags.Name"}),
    Kind(
        "EC2::SubnetRouteTableAssociation",
        "route_table_association",
        ("SubnetId", "subnet_id"),
        {},
    ),
    Kind("EC2::InternetGateway", "internet_gateway", None, {}),
    Kind("EC2::EIP", "eip", None, {"Domain": "domain"}),
    Kind("EC2::NatGateway", "nat_gateway", None, {"SubnetId": "subnet_id"}),
    Kind(
        "EC2::Route", "route", None, {"DestinationCidrBlock": "destination_cidr_block"}
    ),
    Kind(
        "EC2::VPCEndpoint",
        "vpc_endpoint",
        ("ServiceName", "service_name"),
        {
            "VpcEndpointType": "vpc_endpoint_type",
            "PrivateDnsEnabled": "private_dns_enabled",
            "SubnetIds": "subnet_ids",
            "SecurityGroupIds": "security_group_ids",
            "RouteTableIds": "route_table_ids",
            "PolicyDocument": "policy",
        },
    ),
    Kind(
        "EC2::SecurityGroup",
        "security_group",
        ("GroupName", "name"),
        {"GroupDescription": "description"},
    ),
    Kind(
        "EC2::SecurityGroupEgress",
        "vpc_security_group_egress_rule",
        ("Description", "description"),
        {
            "GroupId": "security_group_id",
            "IpProtocol": "ip_protocol",
            "FromPort": "from_port",
            "ToPort": "to_port",
            "DestinationSecurityGroupId": "referenced_security_group_id",
            "DestinationPrefixListId": "prefix_list_id",
            "CidrIp": "cidr_ipv4",
        },
    ),
    Kind(
        "EC2::SecurityGroupIngress",
        "vpc_security_group_ingress_rule",
        ("Description", "description"),
        {
            "GroupId": "security_group_id",
            "IpProtocol": "ip_protocol",
            "FromPort": "from_port",
            "ToPort": "to_port",
            "SourceSecurityGroupId": "referenced_security_group_id",
            "CidrIp": "cidr_ipv4",
        },
    ),
    Kind(
        "IAM::Role",
        "iam_role",
        ("RoleName", "name"),
        {
            "Description": "description",
            "AssumeRolePolicyDocument": "assume_role_policy",
            "PermissionsBoundary": "permissions_boundary",
        },
    ),
    Kind(
        "IAM::RolePolicy",
        "iam_role_policy",
        ("RoleName PolicyName", "role name"),
        {"PolicyDocument": "policy"},
    ),
    Kind(
        "SQS::Queue",
        "sqs_queue",
        ("QueueName", "name"),
        {
            "VisibilityTimeout": "visibility_timeout_seconds",
            "MessageRetentionPeriod": "message_retention_seconds",
            "ReceiveMessageWaitTimeSeconds": "receive_wait_time_seconds",
            "SqsManagedSseEnabled": "sqs_managed_sse_enabled",
            "FifoQueue": "fifo_queue",
            "ContentBasedDeduplication": "content_based_deduplication",
            "RedrivePolicy.maxReceiveCount": "redrive_policy.maxReceiveCount",
            "RedrivePolicy.deadLetterTargetArn": "redrive_policy.deadLetterTargetArn",
            "RedriveAllowPolicy": "redrive_allow_policy",
        },
    ),
    Kind(
        "SQS::QueuePolicy",
        "sqs_queue",
        ("Queues", "name"),
        {"PolicyDocument": "policy"},
    ),
    Kind(
        "SNS::Topic",
        "sns_topic",
        ("TopicName", "name"),
        {
            "FifoTopic": "fifo_topic",
            "ContentBasedDeduplication": "content_based_deduplication",
        },
    ),
    Kind(
        "SNS::TopicPolicy",
        "sns_topic_policy",
        ("Topics", "arn"),
        {"PolicyDocument": "policy"},
    ),
    Kind(
        "SNS::Subscription",
        "sns_topic_subscription",
        ("Endpoint", "endpoint"),
        {
            "TopicArn": "topic_arn",
            "Protocol": "protocol",
            "RawMessageDelivery": "raw_message_delivery",
        },
    ),
    Kind(
        "Scheduler::Schedule",
        "scheduler_schedule",
        ("Name", "name"),
        {
            "Description": "description",
            "ScheduleExpression": "schedule_expression",
            "ScheduleExpressionTimezone": "schedule_expression_timezone",
            "State": "state",
            "FlexibleTimeWindow.Mode": "flexible_time_window.mode",
            "Target.Arn": "target.arn",
            "Target.RoleArn": "target.role_arn",
            "Target.Input": "target.input",
        },
    ),
    Kind(
        "Events::Rule",
        "cloudwatch_event_rule",
        ("Name", "name"),
        {"Description": "description", "EventPattern": "event_pattern"},
    ),
    Kind(
        "Events::Rule",
        "cloudwatch_event_target",
        ("Name", "rule"),
        {"Targets.Id": "target_id", "Targets.Arn": "arn"},
    ),
    Kind(
        "CloudWatch::Alarm",
        "cloudwatch_metric_alarm",
        ("AlarmName", "alarm_name"),
        {
            "AlarmDescription": "alarm_description",
            "Namespace": "namespace",
            "MetricName": "metric_name",
            "Dimensions": "dimensions",
            "Statistic": "statistic",
            "Period": "period",
            "EvaluationPeriods": "evaluation_periods",
            "DatapointsToAlarm": "datapoints_to_alarm",
            "ComparisonOperator": "comparison_operator",
            "Threshold": "threshold",
            "TreatMissingData": "treat_missing_data",
            "AlarmActions": "alarm_actions",
            "OKActions": "ok_actions",
        },
    ),
    Kind(
        "CloudWatch::Dashboard",
        "cloudwatch_dashboard",
        ("DashboardName", "dashboard_name"),
        {"DashboardBody": "dashboard_body"},
    ),
    Kind(
        "Budgets::Budget",
        "budgets_budget",
        None,
        {
            "Budget.BudgetName": "name",
            "Budget.BudgetType": "budget_type",
            "Budget.TimeUnit": "time_unit",
            "Budget.BudgetLimit.Amount": "limit_amount",
            "Budget.BudgetLimit.Unit": "limit_unit",
            "Budget.CostFilters.TagKeyValue": "cost_filter.values",
            "NotificationsWithSubscribers": "notification",
        },
    ),
    Kind("S3::Bucket", "s3_bucket", ("BucketName", "bucket"), {}),
    Kind(
        "S3::Bucket",
        "s3_bucket_public_access_block",
        None,
        {
            "PublicAccessBlockConfiguration.BlockPublicAcls": "block_public_acls",
            "PublicAccessBlockConfiguration.BlockPublicPolicy": "block_public_policy",
            "PublicAccessBlockConfiguration.IgnorePublicAcls": "ignore_public_acls",
            "PublicAccessBlockConfiguration.RestrictPublicBuckets": (
                "restrict_public_buckets"
            ),
        },
    ),
    Kind(
        "S3::Bucket",
        "s3_bucket_ownership_controls",
        None,
        {"OwnershipControls.Rules.ObjectOwnership": "rule.object_ownership"},
    ),
    Kind(
        "S3::Bucket",
        "s3_bucket_server_side_encryption_configuration",
        None,
        {
            "BucketEncryption.ServerSideEncryptionConfiguration"
            ".ServerSideEncryptionByDefault.SSEAlgorithm": (
                "rule.apply_server_side_encryption_by_default.sse_algorithm"
            )
        },
    ),
    Kind(
        "S3::Bucket",
        "s3_bucket_versioning",
        None,
        {"VersioningConfiguration.Status": "versioning_configuration.status"},
    ),
    Kind(
        "S3::Bucket",
        "s3_bucket_lifecycle_configuration",
        None,
        {
            **{
                f"LifecycleConfiguration.Rules.raw.{one}": f"rule.raw.{other}"
                for one, other in (
                    ("Status", "status"),
                    ("Transitions.StorageClass", "transition.storage_class"),
                    ("Transitions.TransitionInDays", "transition.days"),
                    ("ExpirationInDays", "expiration.days"),
                    (
                        "NoncurrentVersionExpiration.NoncurrentDays",
                        "noncurrent_version_expiration.noncurrent_days",
                    ),
                    (
                        "AbortIncompleteMultipartUpload.DaysAfterInitiation",
                        "abort_incomplete_multipart_upload.days_after_initiation",
                    ),
                )
            },
            "LifecycleConfiguration.Rules.markers.Status": "rule.markers.status",
            "LifecycleConfiguration.Rules.markers.ExpiredObjectDeleteMarker": (
                "rule.markers.expiration.expired_object_delete_marker"
            ),
        },
    ),
    Kind(
        "S3::Bucket",
        "s3_bucket_notification",
        None,
        {
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled": (
                "eventbridge"
            ),
        },
    ),
    Kind("S3::BucketPolicy", "s3_bucket_policy", None, {"PolicyDocument": "policy"}),
    Kind(
        "RDS::DBClusterParameterGroup",
        "rds_cluster_parameter_group",
        None,
        {
            "Family": "family",
            "Description": "description",
            "Parameters": "parameter",
        },
    ),
    Kind(
        "RDS::DBSubnetGroup",
        "db_subnet_group",
        ("DBSubnetGroupName", "name"),
        {"SubnetIds": "subnet_ids"},
    ),
    Kind(
        "RDS::DBCluster",
        "rds_cluster",
        ("DBClusterIdentifier", "cluster_identifier"),
        {
            "Engine": "engine",
            "EngineVersion": "engine_version",
            "DatabaseName": "database_name",
            "MasterUsername": "master_username",
            "ManageMasterUserPassword": "manage_master_user_password",
            "StorageEncrypted": "storage_encrypted",
            "DBSubnetGroupName": "db_subnet_group_name",
            "VpcSecurityGroupIds": "vpc_security_group_ids",
            "EnableCloudwatchLogsExports": "enabled_cloudwatch_logs_exports",
            "EnableHttpEndpoint": "enable_http_endpoint",
            "BackupRetentionPeriod": "backup_retention_period",
            "CopyTagsToSnapshot": "copy_tags_to_snapshot",
            "EngineLifecycleSupport": "engine_lifecycle_support",
            "DeletionProtection": "deletion_protection",
            "ServerlessV2ScalingConfiguration.MinCapacity": (
                "serverlessv2_scaling_configuration.min_capacity"
            ),
            "ServerlessV2ScalingConfiguration.MaxCapacity": (
                "serverlessv2_scaling_configuration.max_capacity"
            ),
            "IsSnapshotTaken": "is_snapshot_taken",
        },
    ),
    Kind(
        "RDS::DBInstance",
        "rds_cluster_instance",
        ("DBInstanceIdentifier", "identifier"),
        {
            "Engine": "engine",
            "DBClusterIdentifier": "cluster_identifier",
            "DBInstanceClass": "instance_class",
            "AutoMinorVersionUpgrade": "auto_minor_version_upgrade",
            "PromotionTier": "promotion_tier",
            "EnablePerformanceInsights": "performance_insights_enabled",
        },
    ),
    Kind(
        "Lambda::LayerVersion",
        "lambda_layer_version",
        ("LayerName", "layer_name"),
        {
            "Description": "description",
            "CompatibleRuntimes": "compatible_runtimes",
            "CompatibleArchitectures": "compatible_architectures",
        },
    ),
    Kind(
        "RDS::DBProxy",
        "db_proxy",
        ("DBProxyName", "name"),
        {
            "EngineFamily": "engine_family",
            "RoleArn": "role_arn",
            "RequireTLS": "require_tls",
            "IdleClientTimeout": "idle_client_timeout",
            "VpcSubnetIds": "vpc_subnet_ids",
            "VpcSecurityGroupIds": "vpc_security_group_ids",
            "Auth.AuthScheme": "auth.auth_scheme",
            "Auth.IAMAuth": "auth.iam_auth",
        },
    ),
    Kind(
        "RDS::DBProxyTargetGroup",
        "db_proxy_default_target_group",
        None,
        {
            "ConnectionPoolConfigurationInfo.MaxConnectionsPercent": (
                "connection_pool_config.max_connections_percent"
            ),
            "ConnectionPoolConfigurationInfo.ConnectionBorrowTimeout": (
                "connection_pool_config.connection_borrow_timeout"
            ),
        },
    ),
    Kind(
        "SecretsManager::Secret",
        "secretsmanager_secret",
        ("Name", "name"),
        {"Description": "description"},
    ),
    Kind(
        "Logs::LogGroup",
        "cloudwatch_log_group",
        ("LogGroupName", "name"),
        {"RetentionInDays": "retention_in_days"},
    ),
    Kind(
        "Lambda::Function",
        "lambda_function",
        ("FunctionName", "function_name"),
        {
            "Description": "description",
            "Role": "role",
            "Runtime": "runtime",
            "Architectures": "architectures",
            "Handler": "handler",
            "Layers": "layers",
            "MemorySize": "memory_size",
            "Timeout": "timeout",
            "ReservedConcurrentExecutions": "reserved_concurrent_executions",
            "Environment.Variables": "environment.variables",
            "TracingConfig.Mode": "tracing_config.mode",
            "VpcConfig.SecurityGroupIds": "vpc_config.security_group_ids",
            "VpcConfig.SubnetIds": "vpc_config.subnet_ids",
        },
    ),
    Kind(
        "Lambda::Alias",
        "lambda_alias",
        ("FunctionName", "function_name"),
        {"Name": "name", "FunctionVersion": "function_version"},
    ),
    Kind(
        "Lambda::EventInvokeConfig",
        "lambda_function_event_invoke_config",
        ("FunctionName", "function_name"),
        {
            "MaximumRetryAttempts": "maximum_retry_attempts",
            "MaximumEventAgeInSeconds": "maximum_event_age_in_seconds",
        },
    ),
    Kind(
        "Lambda::EventSourceMapping",
        "lambda_event_source_mapping",
        ("EventSourceArn", "event_source_arn"),
        {
            "BatchSize": "batch_size",
            "MaximumBatchingWindowInSeconds": "maximum_batching_window_in_seconds",
            "FunctionResponseTypes": "function_response_types",
            "ScalingConfig.MaximumConcurrency": "scaling_config.maximum_concurrency",
            "ProvisionedPollerConfig.MinimumPollers": (
                "provisioned_poller_config.minimum_pollers"
            ),
            "ProvisionedPollerConfig.MaximumPollers": (
                "provisioned_poller_config.maximum_pollers"
            ),
        },
    ),
    Kind(
        "CodeDeploy::Application",
        "codedeploy_app",
        ("ApplicationName", "name"),
        {"ComputePlatform": "compute_platform"},
    ),
    Kind(
        "CodeDeploy::DeploymentConfig",
        "codedeploy_deployment_config",
        ("DeploymentConfigName", "deployment_config_name"),
        {
            "ComputePlatform": "compute_platform",
            "TrafficRoutingConfig.Type": "traffic_routing_config.type",
            "TrafficRoutingConfig.TimeBasedCanary.CanaryPercentage": (
                "traffic_routing_config.time_based_canary.percentage"
            ),
            "TrafficRoutingConfig.TimeBasedCanary.CanaryInterval": (
                "traffic_routing_config.time_based_canary.interval"
            ),
        },
    ),
    Kind(
        "CodeDeploy::DeploymentGroup",
        "codedeploy_deployment_group",
        ("DeploymentGroupName", "deployment_group_name"),
        {
            "ApplicationName": "app_name",
            "DeploymentConfigName": "deployment_config_name",
            "ServiceRoleArn": "service_role_arn",
            "DeploymentStyle.DeploymentType": "deployment_style.deployment_type",
            "DeploymentStyle.DeploymentOption": "deployment_style.deployment_option",
            "AutoRollbackConfiguration.Enabled": "auto_rollback_configuration.enabled",
            "AutoRollbackConfiguration.Events": "auto_rollback_configuration.events",
        },
    ),
    Kind(
        "ECR::Repository",
        "ecr_repository",
        ("RepositoryName", "name"),
        {
            "ImageTagMutability": "image_tag_mutability",
            "ImageScanningConfiguration.ScanOnPush": (
                "image_scanning_configuration.scan_on_push"
            ),
            "EncryptionConfiguration.EncryptionType": (
                "encryption_configuration.encryption_type"
            ),
            "EmptyOnDelete": "force_delete",
        },
    ),
    Kind(
        "ECR::Repository",
        "ecr_lifecycle_policy",
        ("RepositoryName", "repository"),
        {"LifecyclePolicy.LifecyclePolicyText": "policy"},
    ),
    Kind(
        "ECS::Cluster",
        "ecs_cluster",
        ("ClusterName", "name"),
        {"ClusterSettings": "setting"},
    ),
    Kind(
        "ECS::TaskDefinition",
        "ecs_task_definition",
        ("Family", "family"),
        {
            "RequiresCompatibilities": "requires_compatibilities",
            "NetworkMode": "network_mode",
            "Cpu": "cpu",
            "Memory": "memory",
            "TaskRoleArn": "task_role_arn",
            "ExecutionRoleArn": "execution_role_arn",
            "RuntimePlatform.CpuArchitecture": "runtime_platform.cpu_architecture",
            "RuntimePlatform.OperatingSystemFamily": (
                "runtime_platform.operating_system_family"
            ),
            "ContainerDefinitions": "container_definitions",
        },
    ),
    Kind(
        "ECS::Service",
        "ecs_service",
        ("ServiceName", "name"),
        {
            "LaunchType": "launch_type",
            "EnableExecuteCommand": "enable_execute_command",
            "PropagateTags": "propagate_tags",
            "DeploymentConfiguration.DeploymentCircuitBreaker.Enable": (
                "deployment_circuit_breaker.enable"
            ),
            "DeploymentConfiguration.DeploymentCircuitBreaker.Rollback": (
                "deployment_circuit_breaker.rollback"
            ),
            "NetworkConfiguration.AwsvpcConfiguration.Subnets": (
                "network_configuration.subnets"
            ),
            "NetworkConfiguration.AwsvpcConfiguration.SecurityGroups": (
                "network_configuration.security_groups"
            ),
            "NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp": (
                "network_configuration.assign_public_ip"
            ),
        },
    ),
    Kind(
        "ApplicationAutoScaling::ScalableTarget",
        "appautoscaling_target",
        ("ResourceId", "resource_id"),
        {
            "ServiceNamespace": "service_namespace",
            "ScalableDimension": "scalable_dimension",
            "MinCapacity": "min_capacity",
            "MaxCapacity": "max_capacity",
        },
    ),
    Kind(
        "ApplicationAutoScaling::ScalingPolicy",
        "appautoscaling_policy",
        ("PolicyName", "name"),
        {
            "PolicyType": "policy_type",
            "TargetTrackingScalingPolicyConfiguration.TargetValue": (
                "target_tracking_scaling_policy_configuration.target_value"
            ),
            "TargetTrackingScalingPolicyConfiguration.ScaleInCooldown": (
                "target_tracking_scaling_policy_configuration.scale_in_cooldown"
            ),
            "TargetTrackingScalingPolicyConfiguration.ScaleOutCooldown": (
                "target_tracking_scaling_policy_configuration.scale_out_cooldown"
            ),
            "TargetTrackingScalingPolicyConfiguration.CustomizedMetricSpecification"
            ".Metrics": (
                "target_tracking_scaling_policy_configuration"
                ".customized_metric_specification.metrics"
            ),
        },
    ),
]

# Resource types that only one of the two has, and why.
ONLY_CDK = {
    "SSM::Parameter": "Terraform's data sources find what CDK's stacks publish so",
    "EC2::VPCGatewayAttachment": "a property of Terraform's internet gateway",
}
ONLY_TERRAFORM = {"db_proxy_target": "a property of CloudFormation's target group"}
# Properties of CloudFormation that are not compared, and why.
NOT_COMPARED = {
    "Tags": "project and environment, which Terraform's provider sets on all resources",
    "ResourceTags": "the tags of a budget",
    "VpcId": "there is one VPC",
    "RouteTableId": "there is one for each subnet",
    "GatewayId": "part of Terraform's route table",
    "NatGatewayId": "there is at most one",
    "AllocationId": "there is at most one",
    "EnableDnsSupport": "Terraform's default",
    "Policies": "compared as RolePolicy",
    "SecurityGroupEgress": "compared one by one",
    "Bucket": "there is one bucket",
    "DBClusterParameterGroupName": "AWS chooses it",
    "DBSubnetGroupDescription": "CloudFormation requires one",
    "Content": "the zip that the build makes for both",
    "Code": "the zip that the build makes for both",
    "Qualifier": "Terraform's default",
    "FunctionName": "the name of the queue has it",
    "Cluster": "there is one cluster",
    "TaskDefinition": "the service has the function's name, as the task has",
    "ScalingTargetId": "the policy has the function's name, as the target has",
}
NOT_COMPARED |= {
    "DBProxyName": "there is one proxy",
    "TargetGroupName": "there is one proxy",
    "DBClusterIdentifiers": "there is one cluster",
}
# Values that mean the same as no value.
DEFAULTS = {
    "ReceiveMessageWaitTimeSeconds": "0",
    "MaximumBatchingWindowInSeconds": "0",
    "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled": "false",
    "FifoQueue": "false",
    "FifoTopic": "false",
    "ContentBasedDeduplication": "false",
    "ReservedConcurrentExecutions": "-1",
    "PrivateDnsEnabled": "false",
    "RawMessageDelivery": "false",
    "EncryptionConfiguration.EncryptionType": "AES256",
}
Resource = tuple[str, dict[str, Any]]
Facts = dict[str, Any]


def facts(resources: Iterable[Resource], column: str) -> Facts:
    """Return the facts about one tool's resources, by property and resource.

    The values of resources without a name are collected in one sorted list.

    Args:
        resources: type and properties of each.
        column: cdk or terraform.
    """
    side = ["cdk", "terraform"].index(column)
    found: Facts = {}
    for kind, each in [
        (kind, each)
        for type_, each in resources
        for kind in KINDS
        if type_ == getattr(kind, column)
    ]:
        words = kind.names[side].split() if kind.names else []
        title = " ".join([kind.cdk, *(str(dig(each, word)) for word in words)])
        found.setdefault(f"{title}, {kind.terraform}", []).append("is there")
        for paths in kind.same.items():
            value = dig(each, paths[side])
            if value not in (None, DEFAULTS.get(paths[0])):
                written = json.dumps(value, sort_keys=True).strip('"')
                found.setdefault(f"{paths[0]} of {title}", []).append(written)
    return {name: sorted(values) for name, values in found.items()}


def differences(terraform: Facts, cdk: Facts) -> list[str]:
    """Return a line for each difference."""
    return [
        f"{name}: {terraform.get(name)} by Terraform, {cdk.get(name)} by CDK"
        for name in sorted(terraform.keys() | cdk.keys())
        if terraform.get(name) != cdk.get(name)
    ]


def dig(value: Any, path: str) -> Any:
    """Return the value at a path of keys, or None."""
    for word in path.split("."):
        value = value.get(camel(word)) if isinstance(value, dict) else None
    return value


def camel(key: str) -> str:
    """Return a key in camel case, which both sides are compared in."""
    key = re.sub("_([a-z])", lambda match: match[1].upper(), key)
    return key[:1].lower() + key[1:]


def plain(value: Any) -> Any:
    """Return a value in the normal form that both sides are compared in.

    Strings with JSON are parsed, lists are sorted, a list of one becomes its item, a
    list of names and values becomes a mapping, policy statements lose their Sid, and
    empty values are dropped.
    """
    if isinstance(value, str) and value.startswith(("{", "[")):
        value = json.loads(value)
    if isinstance(value, dict):
        if "Effect" in value:
            everybody = {"AWS": "*"}
            value = {
                key: "*" if each == everybody else each
                for key, each in value.items()
                if key != "Sid"
            }
        pairs = ((camel(key), plain(each)) for key, each in value.items())
        return {key: each for key, each in pairs if each not in (None, [], {}, "")}
    if isinstance(value, list):
        items = [plain(each) for each in value]
        for key in ("name", "key"):
            if items and all(is_pair(each, key) for each in items):
                return {camel(each[key]): each["value"] for each in items}
        return items[0] if len(items) == 1 else sorted(items, key=str)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    return {"DISABLED": "false"}.get(value, value)


def is_pair(item: Any, key: str) -> bool:
    """Return whether an item is a mapping with a name, as `key`, and a value."""
    return isinstance(item, dict) and {key, "value"} <= item.keys()


def name_of(side: int, type_: str, properties: dict[str, Any]) -> str | None:
    """Return the name of a resource on one side, if it has one."""
    for kind in KINDS:
        column = kind.terraform if side else kind.cdk
        if type_ == column and kind.names and " " not in kind.names[side]:
            return str(properties[kind.names[side]])
    name: str | None = dig(plain(properties), "tags.name")
    return name


class Template:
    """A CloudFormation template of CDK, with its references resolved.

    Args:
        path: the template's file.
    """

    def __init__(self, path: Path) -> None:
        self._template = json.loads(path.read_text(encoding="utf-8"))
        self._resources = self._template.get("Resources", {})

    def resources(self) -> Iterator[Resource]:
        """Yield type and properties of each resource, its policies and its rules."""
        for name, each in self._resources.items():
            own = self._properties(name)
            if self._type(name) == "RDS::DBCluster":
                own["IsSnapshotTaken"] = each["DeletionPolicy"] == "Snapshot"
            if "LifecycleConfiguration" in own:
                rules = own["LifecycleConfiguration"]["Rules"]
                own["LifecycleConfiguration"] = {
                    "Rules": {rule["Id"]: rule for rule in rules}
                }
            if notified := own.get("NotificationsWithSubscribers"):
                own["NotificationsWithSubscribers"] = [
                    pair["Notification"]
                    | {
                        "SubscriberSnsTopicArns": [
                            topic["Address"] for topic in pair["Subscribers"]
                        ]
                    }
                    for pair in notified
                ]
            yield self._type(name), plain(own)
            for policy in own.get("Policies", []):
                yield "IAM::RolePolicy", plain(policy | {"RoleName": own["RoleName"]})
            for rule in own.get("SecurityGroupEgress", []):
                if rule["Description"] != "Nothing":
                    whole = rule | {"GroupId": own["GroupName"]}
                    yield "EC2::SecurityGroupEgress", plain(whole)

    def _is(self, name: str, type_: str) -> bool:
        return name in self._resources and self._type(name) == type_

    def _type(self, name: str) -> str:
        return str(self._resources[name]["Type"]).removeprefix("AWS::")

    def _properties(self, name: str) -> dict[str, Any]:
        written = self._resources[name].get("Properties", {})
        return {key: self._resolve(value) for key, value in written.items()}

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(each) for each in value]
        match value:
            case {"Ref": name}:
                referred = self._referred(name)
                if not name.startswith("AWS::") and self._is(name, "SNS::Topic"):
                    return f"arn:aws:{QUEUES.replace('sqs', 'sns')}{referred}"
                return referred
            case {"Fn::GetAtt": [name, "Arn"]}:
                service = "s3:::" if self._type(name) == "S3::Bucket" else QUEUES
                return f"arn:aws:{service}{self._referred(name)}"
            case {"Fn::GetAtt": [name, attribute]}:
                return GIVEN.get(attribute, self._referred(name))
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{(.+?)\}", lambda found: str(GIVEN[found[1]]), text)
            case {"Fn::Join": [glue, parts]}:
                return glue.join(map(str, self._resolve(parts)))
            case {"Fn::Select": [number, several]}:
                return self._resolve(several)[int(number)]
            case dict():
                return {key: self._resolve(each) for key, each in value.items()}
        return value

    def _referred(self, name: str) -> Any:
        if parameter := self._template.get("Parameters", {}).get(name):
            name = parameter.get("Default", name).rpartition("/")[2]
        if parameter or name.startswith("AWS::"):
            return GIVEN[name]
        return name_of(0, self._type(name), self._properties(name)) or name


def states(project: Project) -> dict[str, list[Resource]]:
    """Apply Terraform's stacks to a mock of AWS; return the resources by environment.

    The stacks are modules of one root, which has the mocked provider. Environments with
    the same stacks share it.
    """
    program = (
        "import sys; from pathlib import Path; from tools import iac\n"
        "root = Path(sys.argv[1]).resolve()\n"
        "iac.link_together(root, sys.argv[2:])\n"
        "iac.write_test_specs(root.parent)"
    )
    directories: dict[str, str] = {}
    for environment, database in ENVIRONMENTS.items():
        stacks = stacks_of(environment)
        directory = f".build/terraform/.parity/{len(stacks)}"  # as deep as of a stack
        if directory not in directories.values():
            project.run(".venv/bin/python", "-c", program, directory, *stacks)
        directories[environment] = directory
        names = {
            "environment": environment,
            "database": database,
            "overrides": "".join(overrides(environment)),
        }
        path = project.path / directory / f"{environment}.tftest.hcl"
        path.write_text(RUN % names, encoding="utf-8")
    found: dict[str, list[Resource]] = {}
    for directory in dict.fromkeys(directories.values()):
        found |= apply(project, directory)
    return found


def stacks_of(environment: str) -> list[str]:
    """Return the stacks of an environment in their order."""
    return [each for each in STACKS if each not in EXISTING.get(environment, ())]


def apply(project: Project, directory: str) -> dict[str, list[Resource]]:
    """Run the tests in a directory; return the resources by environment."""
    in_directory = ("terraform", f"-chdir={directory}")
    project.run(*in_directory, "init", "-input=false", "-backend=false")
    output = project.run(*in_directory, "test", "-json", "-verbose").stdout
    found = {}
    for line in output.splitlines():
        if '"test_state"' in line:
            # the provider's schemas, 14 MB, come last
            event = json.loads(line.partition(',"provider_schemas"')[0] + "}}")
            modules = event["test_state"]["root_module"]["child_modules"]
            resources = [each for module in modules for each in module["resources"]]
            found[event["@testrun"]] = list(managed_resources(resources))
    return found


def overrides(environment: str) -> Iterator[str]:
    """Yield the overrides that give each group an ID and each queue an ARN."""
    for stack in ("lambda", "ecs") if environment not in EXISTING else ():
        for group in ("function", "sql", "internet"):
            yield OVERRIDE_GROUP % {"stack": stack, "group": group}
    for kind, more in (
        ("dead_letter", ""),
        ("pending", ', redrive_allow_policy = ""'),
    ):
        for name in FUNCTIONS:
            suffix = ".fifo" if name == "orders" else ""
            queue = f"test-{environment}-{name}-{kind.replace('_', '-')}{suffix}"
            names = {"kind": kind, "name": name, "more": more}
            yield OVERRIDE_QUEUE % (names | {"queue": f"{QUEUES}{queue}"})


def managed_resources(resources: list[dict[str, Any]]) -> Iterator[Resource]:
    """Yield type and properties of each managed resource of a state."""
    managed = [
        (each["type"].removeprefix("aws_"), each["values"])
        for each in resources
        if each["mode"] == "managed"
    ]
    names = {
        values["id"]: name_of(1, type_, values)
        for type_, values in managed
        if name_of(1, type_, values)
    }

    def with_names(value: Any) -> Any:
        if isinstance(value, list):
            return [with_names(each) for each in value]
        if isinstance(value, dict):
            return {key: with_names(each) for key, each in value.items()}
        return names.get(value, value) if isinstance(value, str) else value

    for type_, values in managed:
        own = with_names(values)
        if type_ == "rds_cluster":
            own["is_snapshot_taken"] = not own["skip_final_snapshot"]
        if type_ == "s3_bucket_lifecycle_configuration":
            own["rule"] = {rule["id"]: rule for rule in own["rule"]}
        yield type_, plain(own)
        for route in own.get("route", []):
            yield "route", {"destinationCidrBlock": route["cidr_block"]}


def templates(project: Project, environment: str) -> list[Resource]:
    """Synthesise all of CDK's stacks; return their resources."""
    directory = project.path / ".build" / "parity" / environment
    context = {
        "project": "test",
        "environment": environment,
        "database": ENVIRONMENTS[environment],
        "config": "infra/tests/deploy.yml",
    }
    variables = {
        "CDK_OUTDIR": str(directory),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_VALIDATION": "false",  # 'make lint' validates
    }
    app = (".venv-infra/bin/python", "-m", "infra.app")
    project.run(*app, env=with_cdk_node(project) | variables)
    paths = [directory / f"{stack}.template.json" for stack in stacks_of(environment)]
    for stack in EXISTING.get(environment, ()):
        assert not (directory / f"{stack}.template.json").exists()
    return [each for path in paths for each in Template(path).resources()]


@pytest.mark.long
@pytest.mark.usefixtures("providers")
def test_terraform_and_cdk_deploy_the_same(tmp_path: Path) -> None:
    terraform, cdk = (
        bake(tmp_path, project_slug=iac, iac=iac).share_installs()
        for iac in ("terraform", "cdk")
    )
    mock = terraform.path / "infra" / "tests" / "aws.tfmock.hcl"
    # CDK's templates leave it to a parameter whether this is the proxy's name
    text = mock.read_text(encoding="utf-8").replace("proxy.example", "main.example")
    for database, port in (("postgres", "5432"), ("mysql", "3306")):
        own = mock.parent / database / mock.name
        own.parent.mkdir()
        own.write_text(text.replace("5432", port), encoding="utf-8")
    applied = states(terraform)
    for environment in ENVIRONMENTS:
        by_terraform = applied[environment]
        by_cdk = templates(cdk, environment)
        expected = facts(by_terraform, "terraform")
        assert "\n".join(differences(expected, facts(by_cdk, "cdk"))) == ""
        assert not_compared(by_terraform, by_cdk) == set()
        if environment == "small":
            functions_may_do_what_they_declare(by_terraform)
            functions_may_do_what_they_declare(by_cdk)
    environment = "large"
    expected = facts(applied[environment], "terraform")
    queue = cdk.path / "infra" / "queue" / "stack.py"
    text = queue.read_text(encoding="utf-8")
    assert text.count("6 * settings") == 1
    queue.write_text(text.replace("6 * settings", "5 * settings"), encoding="utf-8")
    found = differences(expected, facts(templates(cdk, environment), "cdk"))
    assert len(found) == len(FUNCTIONS)
    assert (
        "VisibilityTimeout of SQS::Queue test-large-worker-pending: "
        "['605'] by Terraform, ['505'] by CDK"
    ) in found


def functions_may_do_what_they_declare(resources: list[Resource]) -> None:
    """Check each role of the functions: nothing undeclared is granted."""
    granted = {
        str(own.get("roleName") or own["role"]): {
            " ".join(as_list(each["action"])): each["resource"]
            for each in as_list(own.get("policyDocument") or own["policy"], "statement")
        }
        for type_, own in resources
        if type_ in ("IAM::RolePolicy", "iam_role_policy")
        and "work" in (own.get("policyName"), own.get("name"))
    }
    for name, declared in DECLARED.items():
        suffix = ".fifo" if name == "orders" else ""
        queue = f"arn:aws:{QUEUES}test-small-{name}-pending{suffix}"
        expected = declared | {RECEIVE: queue}
        if name not in ("fanout", "enrich"):
            expected["secretsmanager:GetSecretValue"] = (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-small-app-??????"
            )
        assert granted[f"test-small-{name}-task"] == expected
        more = granted[f"test-small-{name}-execution"]
        assert expected.items() <= more.items()
        logs = f"log-group:/aws/lambda/test-small-{name}:*"
        assert sorted(actions.split()[0] for actions in more.keys() - expected) == [
            *("ec2:*", "ec2:AssignPrivateIpAddresses", "logs:CreateLogStream")
        ]
        assert logs in more["logs:CreateLogStream logs:PutLogEvents"]


def as_list(value: Any, key: str = "") -> list[Any]:
    """Return a list, which `plain` replaces by its item if there is one only."""
    value = value[key] if key else value
    return value if isinstance(value, list) else [value]


def not_compared(terraform: list[Resource], cdk: list[Resource]) -> set[str]:
    """Return types and properties that are neither compared nor listed above."""
    compared = {camel(word) for word in NOT_COMPARED} | {"isSnapshotTaken"}
    properties = {
        f"{type_}.{name}"
        for type_, each in cdk
        if type_ not in ONLY_CDK
        for name in set(each) - compared - compared_properties(type_)
    }
    types = {type_ for type_, _ in terraform} - {kind.terraform for kind in KINDS}
    return properties | types - set(ONLY_TERRAFORM)


def compared_properties(type_: str) -> set[str]:
    """Return the top-level properties of a CloudFormation type that are compared."""
    words = [
        path.partition(".")[0]
        for kind in KINDS
        if kind.cdk == type_
        for path in (*kind.same, *(kind.names[0].split() if kind.names else ()))
    ]
    return {camel(word) for word in words}


@pytest.mark.parametrize("database", sorted(set(ENVIRONMENTS.values())))
def test_other_files_are_identical(database: str, tmp_path: Path) -> None:
    """Compare all files outside of `infra/` that are not one of the tool's own."""
    one, other = (
        bake(tmp_path / iac, iac=iac, database=database) for iac in ("terraform", "cdk")
    )
    names = {
        name
        for project in (one, other)
        for name in files(project.path)
        if not name.startswith("infra/") and name not in DIFFERENT
    }
    assert names > {"src/func/worker.py", "config/deploy.yml", "tests/test_worker.py"}
    for name in names:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    menus = [
        [line.split()[0] for line in project.make().stdout.splitlines() if line]
        for project in (one, other)
    ]
    assert menus[0] == menus[1]
