# A queue and a dead-letter queue for each function.
resource "aws_sqs_queue" "dead_letter" {
  for_each                  = local.functions
  name                      = local.dead_letter[each.key]
  message_retention_seconds = 14 * 24 * 3600 # counted from when a message was first sent; the maximum
  sqs_managed_sse_enabled   = true
  policy = local.is_local ? null : jsonencode({
    Version   = "2012-10-17"
    Statement = local.require_tls[local.dead_letter[each.key]]
  })
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.queues_arn}:${local.pending[each.key]}"]
  })
}

resource "aws_sqs_queue" "pending" {
  for_each                   = local.functions
  name                       = local.pending[each.key]
  visibility_timeout_seconds = 6 * each.value.timeout + each.value.batch_window # AWS's advice
  message_retention_seconds  = 4 * 24 * 3600
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[each.key].arn
    maxReceiveCount     = each.value.max_receives
  })
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.require_tls[local.pending[each.key]], [
      {
        Sid       = "OnlyTheBucketSends"
        Effect    = "Allow"
        Action    = ["sqs:SendMessage"]
        Principal = { Service = "s3.amazonaws.com" }
        Resource  = "${local.queues_arn}:${local.pending[each.key]}"
        Condition = {
          ArnEquals    = { "aws:SourceArn" = local.bucket_arn }
          StringEquals = { "aws:SourceAccount" = local.account }
        }
      },
    ])
  })
}

locals {
  # The emulator has no TLS.
  require_tls = {
    for name in concat(values(local.pending), values(local.dead_letter)) : name => [
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
}
