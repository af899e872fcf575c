# How new versions of some functions get their batches: first a part of them, then all.
# tools/canary.py starts each deployment, and names the alarms that it watches.
locals {
  releases = { for name, each in local.functions : name => each.release if can(each.release) }
}

resource "aws_codedeploy_app" "releases" {
  count            = length(local.releases) > 0 ? 1 : 0
  name             = local.prefix
  compute_platform = "Lambda"
}

resource "aws_codedeploy_deployment_config" "canary" {
  # by name, since AWS accepts 50 of them in an account and changes none
  for_each               = { for each in local.releases : each.config => each... }
  deployment_config_name = each.key
  compute_platform       = "Lambda"

  traffic_routing_config {
    type = "TimeBasedCanary"
    time_based_canary {
      interval   = each.value[0].minutes
      percentage = each.value[0].canary
    }
  }
  lifecycle {
    create_before_destroy = true # AWS deletes none that a group uses
  }
}

resource "aws_codedeploy_deployment_group" "function" {
  for_each               = local.releases
  app_name               = aws_codedeploy_app.releases[0].name
  deployment_group_name  = each.key
  deployment_config_name = aws_codedeploy_deployment_config.canary[each.value.config].deployment_config_name
  service_role_arn       = "${local.roles_arn}/${local.prefix}-release"

  deployment_style {
    deployment_type   = "BLUE_GREEN"
    deployment_option = "WITH_TRAFFIC_CONTROL"
  }
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
  }
}
