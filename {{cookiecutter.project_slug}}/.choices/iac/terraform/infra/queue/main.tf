# A queue and a dead-letter queue for each function.
resource "aws_sqs_queue" "dead_letter" {
  for_each                  = local.functions
  name                      = each.value.dead_letter
  fifo_queue                = each.value.fifo
  message_retention_seconds = 14 * 24 * 3600 # counted from when a message was first sent; the maximum
  sqs_managed_sse_enabled   = true
  policy = local.is_local ? null : jsonencode({
    Version   = "2012-10-17"
    Statement = local.require_tls[each.value.dead_letter]
  })
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.queues_arn}:${each.value.queue}"]
  })
}

resource "aws_sqs_queue" "pending" {
  for_each                    = local.functions
  name                        = each.value.queue
  fifo_queue                  = each.value.fifo
  content_based_deduplication = each.value.fifo
  visibility_timeout_seconds  = 6 * each.value.timeout + each.value.batch_window # AWS's advice
  message_retention_seconds   = 4 * 24 * 3600
  receive_wait_time_seconds   = 20
  sqs_managed_sse_enabled     = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[each.key].arn
    maxReceiveCount     = each.value.max_receives
  })
  policy = length(local.policies[each.key]) == 0 ? null : jsonencode({
    Version   = "2012-10-17"
    Statement = local.policies[each.key]
  })
}

locals {
  # The emulator has no TLS.
  require_tls = {
    for name in flatten([for each in local.functions : [each.queue, each.dead_letter]]) : name => [
      for queue in local.is_local ? [] : [name] : {
        Sid       = "RequireTls"
        Effect    = "Deny"
        Action    = ["sqs:*"]
        Principal = "*"
        Resource  = "${local.queues_arn}:${queue}"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }
    ]
  }
  policies = { for name, each in local.functions : name => concat(local.require_tls[each.queue], each.queue_statements) }
}
