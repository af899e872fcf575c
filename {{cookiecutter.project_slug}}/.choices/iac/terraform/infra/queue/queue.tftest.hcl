mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
}

run "small" {
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.pending : queue.visibility_timeout_seconds == 6 * 60 + 5])
    error_message = "The visibility timeout must be six times the timeout, plus the batch window."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.pending : jsondecode(queue.redrive_policy).maxReceiveCount == 3])
    error_message = "The redrive policy must allow three receives."
  }
  assert {
    condition = alltrue([
      for name, queue in aws_sqs_queue.dead_letter :
      jsondecode(queue.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-west-1:123456789012:test-small-${name}-pending"]
    ])
    error_message = "A dead-letter queue must accept its own queue only."
  }
  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.pending), values(aws_sqs_queue.dead_letter)) : queue.sqs_managed_sse_enabled])
    error_message = "Queues must be encrypted."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.dead_letters) == length(local.names) && alltrue([for alarm in aws_cloudwatch_metric_alarm.oldest_message : alarm.threshold == 3600])
    error_message = "Alarms must watch dead letters and the age of messages."
  }
}

run "large" {
  variables {
    environment = "large"
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.pending : queue.visibility_timeout_seconds == 6 * 100 + 5 && jsondecode(queue.redrive_policy).maxReceiveCount == 5])
    error_message = "The environment's timeout and max_receives must override the defaults."
  }
}

run "no_topic" {
  command = plan
  variables {
    alarm_topic = "alarms"
  }
  expect_failures = [var.alarm_topic]
}
