# Objects below <function>/ become messages of that function.
resource "aws_s3_bucket_notification" "raw" {
  bucket = aws_s3_bucket.raw.id
  dynamic "queue" {
    for_each = local.functions
    content {
      id            = queue.key
      queue_arn     = "${local.queues_arn}:${local.pending[queue.key]}"
      events        = ["s3:ObjectCreated:*"]
      filter_prefix = "${queue.key}/"
      filter_suffix = queue.value.suffix
    }
  }
}
