# Alarms and whom they notify, the dashboard, and the budget, which tools/monitoring.py describes.
locals {
  monitoring = local.spec.monitoring
  topics     = { for each in local.monitoring.topics : each.name => each }
}

resource "aws_cloudwatch_metric_alarm" "all" {
  for_each            = { for each in local.monitoring.alarms : each.name => each }
  alarm_name          = each.key
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = local.monitoring.actions
  ok_actions          = local.monitoring.actions
  depends_on          = [aws_sns_topic_policy.alarms]
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:with a key of AWS's, CloudWatch could not publish; disks are encrypted
  for_each = local.topics
  name     = each.key
}

resource "aws_sns_topic_policy" "alarms" {
  for_each   = local.topics
  arn        = each.value.arn
  policy     = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
  depends_on = [aws_sns_topic.alarms]
}

resource "aws_sns_topic_subscription" "email" {
  for_each   = local.topics
  topic_arn  = each.value.arn
  protocol   = "email"
  endpoint   = each.value.email
  depends_on = [aws_sns_topic.alarms]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.prefix
  dashboard_body = local.monitoring.dashboard
}

resource "aws_budgets_budget" "monthly" {
  for_each     = { for each in local.monitoring.budgets : each.name => each }
  name         = each.key
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = each.value.limit
  limit_unit   = "USD"
  cost_filter {
    name   = "TagKeyValue"
    values = [each.value.tag]
  }
  dynamic "notification" {
    for_each = each.value.notifications
    content {
      notification_type         = notification.value.type
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value.threshold
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = local.monitoring.actions
    }
  }
  depends_on = [aws_sns_topic_policy.alarms]
}
