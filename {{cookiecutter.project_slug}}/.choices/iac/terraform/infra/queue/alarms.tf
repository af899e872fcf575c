variable "alarm_topic" {
  type        = string
  description = "ARN of the SNS topic for alarms, or empty."
  default     = ""
  validation {
    condition     = var.alarm_topic == "" || can(regex("^arn:[^:]+:sns:", var.alarm_topic))
    error_message = "ALARM_TOPIC is not the ARN of an SNS topic, such as arn:aws:sns:eu-west-1:123456789012:alarms."
  }
}

locals {
  actions = compact([var.alarm_topic])
  watched = { for name, each in local.functions : name => each if !local.is_local } # the emulator has no metrics
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each            = local.watched
  alarm_name          = "${each.value.dead_letter}-messages"
  alarm_description   = "${each.key} failed to handle a message: read its logs, fix the cause, then redrive the message."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value.dead_letter }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each            = local.watched
  alarm_name          = "${each.value.queue}-age"
  alarm_description   = "${each.key} does not run, or is too slow for its queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.queue }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.oldest_message
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
}
