mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "small" {
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.pending : queue.visibility_timeout_seconds == 6 * 60 + (queue.fifo_queue ? 0 : 5)])
    error_message = "The visibility timeout must be six times the timeout, plus the batch window."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.pending : jsondecode(queue.redrive_policy).maxReceiveCount == 3])
    error_message = "The redrive policy must allow three receives."
  }
  assert {
    condition = alltrue([
      for name, queue in aws_sqs_queue.dead_letter :
      jsondecode(queue.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-west-1:123456789012:test-small-${name}-pending${queue.fifo_queue ? ".fifo" : ""}"]
    ])
    error_message = "A dead-letter queue must accept its own queue only."
  }
  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.pending), values(aws_sqs_queue.dead_letter)) : queue.sqs_managed_sse_enabled])
    error_message = "Queues must be encrypted."
  }
  assert {
    condition = {
      for name, queue in aws_sqs_queue.pending : name => [
        for each in jsondecode(queue.policy).Statement : [each.Principal.Service, each.Condition.ArnEquals["aws:SourceArn"]] if each.Effect == "Allow"
      ]
      } == {
      worker  = [["events.amazonaws.com", "arn:aws:events:eu-west-1:123456789012:rule/test-small-worker"]]
      fanout  = [["events.amazonaws.com", "arn:aws:events:eu-west-1:123456789012:rule/test-small-fanout"]]
      part    = []
      enrich  = []
      nightly = []
      orders  = [["sns.amazonaws.com", "arn:aws:sns:eu-west-1:123456789012:test-small-orders.fifo"]]
      prices  = [["sns.amazonaws.com", "arn:aws:sns:eu-west-1:111122223333:prices"]]
    }
    error_message = "Only the trigger of a function may send to its queue."
  }
  assert {
    condition     = [for name, queue in aws_sqs_queue.pending : name if queue.fifo_queue && queue.content_based_deduplication && aws_sqs_queue.dead_letter[name].fifo_queue] == ["orders"]
    error_message = "A function with fifo must have FIFO queues."
  }
  assert {
    condition     = [for topic in aws_sns_topic.own : [topic.name, topic.fifo_topic, topic.content_based_deduplication]] == [["test-small-orders.fifo", true, true]]
    error_message = "The project must create its own topics only."
  }
  assert {
    condition = { for name, each in aws_sns_topic_subscription.queue : name => each.topic_arn if each.raw_message_delivery } == {
      orders = "arn:aws:sns:eu-west-1:123456789012:test-small-orders.fifo"
      prices = "arn:aws:sns:eu-west-1:111122223333:prices"
    }
    error_message = "A function must get the raw messages of its topic."
  }
  assert {
    condition = [for each in aws_scheduler_schedule.queue : [each.name, each.schedule_expression, each.schedule_expression_timezone, each.state, each.target[0].input]] == [
      ["test-small-nightly", "cron(0 2 * * ? *)", "Europe/Vienna", "ENABLED", "{\"schedule\": \"nightly\", \"time\": \"<aws.scheduler.scheduled-time>\"}"]
    ]
    error_message = "A schedule must send a message that names the function and the time."
  }
}

run "large" {
  variables {
    environment = "large"
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.pending : queue.visibility_timeout_seconds == 6 * 100 + (queue.fifo_queue ? 0 : 5) && jsondecode(queue.redrive_policy).maxReceiveCount == 5])
    error_message = "The environment's timeout and max_receives must override the defaults."
  }
}
