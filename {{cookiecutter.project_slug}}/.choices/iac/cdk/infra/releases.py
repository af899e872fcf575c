"""How new versions get their batches: first a part of them, then all.

`tools/canary.py` starts each deployment, and names the alarms that it watches.
"""

from aws_cdk import Stack
from aws_cdk import aws_codedeploy as codedeploy
from constructs import Construct

from infra.deployment import Deployment

ROLLBACK_EVENTS = (
    "DEPLOYMENT_FAILURE",
    "DEPLOYMENT_STOP_ON_ALARM",
    "DEPLOYMENT_STOP_ON_REQUEST",
)


def add_releases(stack: Stack, deployment: Deployment) -> None:
    """Add what CodeDeploy needs for the functions with a `release`."""
    releases = {
        name: each["release"]
        for name, each in deployment.functions.items()
        if "release" in each
    }
    if not releases:
        return
    scope = Construct(stack, "releases")
    app = codedeploy.CfnApplication(
        scope,
        "app",
        application_name=deployment.prefix,
        compute_platform="Lambda",
    )
    # by name, since AWS accepts 50 of them in an account and changes none
    different = {each["config"]: each for each in releases.values()}
    configs = {name: add_config(scope, name, each) for name, each in different.items()}
    group = codedeploy.CfnDeploymentGroup
    for name, each in releases.items():
        group(
            scope,
            name,
            application_name=app.ref,
            deployment_group_name=name,
            deployment_config_name=configs[each["config"]].ref,
            service_role_arn=deployment.role_arn("release"),
            deployment_style=group.DeploymentStyleProperty(
                deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
            ),
            auto_rollback_configuration=group.AutoRollbackConfigurationProperty(
                enabled=True, events=list(ROLLBACK_EVENTS)
            ),
        )


def add_config(
    scope: Construct, name: str, release: dict[str, int]
) -> codedeploy.CfnDeploymentConfig:
    """Add a deployment configuration: percent of the batches, and minutes."""
    own = codedeploy.CfnDeploymentConfig
    canary = own.TimeBasedCanaryProperty(
        canary_interval=release["minutes"], canary_percentage=release["canary"]
    )
    return own(
        scope,
        name,
        deployment_config_name=name,
        compute_platform="Lambda",
        traffic_routing_config=own.TrafficRoutingConfigProperty(
            type="TimeBasedCanary", time_based_canary=canary
        ),
    )
