# The project's SNS topics, and the subscriptions of the functions with `trigger: topic`.
resource "aws_sns_topic" "own" {
  #checkov:skip=CKV_AWS_26:with a key of AWS's, other services could not publish; disks are encrypted
  for_each                    = local.spec.topics
  name                        = each.value.name
  fifo_topic                  = each.value.fifo
  content_based_deduplication = each.value.fifo
}

resource "aws_sns_topic_policy" "own" {
  for_each   = { for name, each in local.spec.topics : name => each.arn if !local.is_local } # the emulator has no TLS
  arn        = each.value
  depends_on = [aws_sns_topic.own]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RequireTls"
      Effect    = "Deny"
      Action    = ["sns:Publish"]
      Principal = "*"
      Resource  = each.value
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_sns_topic_subscription" "queue" {
  for_each             = { for name, each in local.functions : name => each if each.trigger == "topic" }
  topic_arn            = each.value.topic_arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.pending[each.key].arn
  raw_message_delivery = true
  depends_on           = [aws_sns_topic.own]
}
