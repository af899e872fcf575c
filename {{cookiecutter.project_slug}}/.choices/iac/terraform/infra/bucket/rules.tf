# New objects become messages of the functions whose prefix and suffix they match.
resource "aws_s3_bucket_notification" "raw" {
  count       = local.count
  bucket      = aws_s3_bucket.raw[0].id
  eventbridge = local.spec.uses_bucket
}

resource "aws_cloudwatch_event_rule" "created" {
  for_each    = { for name, each in local.functions : name => each if each.trigger == "bucket" }
  name        = "${local.prefix}-${each.key}"
  description = "New objects for ${each.key}"
  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [local.spec.bucket] }
      object = { key = [{ wildcard = each.value.key_pattern }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each  = aws_cloudwatch_event_rule.created
  rule      = each.value.name
  target_id = "queue"
  arn       = "${local.queues_arn}:${local.functions[each.key].queue}"
}
