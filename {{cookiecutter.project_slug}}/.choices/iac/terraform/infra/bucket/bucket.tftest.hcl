mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
}

run "private" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.raw.block_public_acls,
      aws_s3_bucket_public_access_block.raw.block_public_policy,
      aws_s3_bucket_public_access_block.raw.ignore_public_acls,
      aws_s3_bucket_public_access_block.raw.restrict_public_buckets,
    ])
    error_message = "The bucket must not be public."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.raw[0].policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "The bucket must require TLS."
  }
  assert {
    condition     = aws_s3_bucket_versioning.raw.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket must be versioned."
  }
  assert {
    condition = alltrue([
      for queue in aws_s3_bucket_notification.raw.queue :
      queue.filter_prefix == "${queue.id}/" && queue.filter_suffix == ".csv" && queue.queue_arn == "arn:aws:sqs:eu-west-1:123456789012:test-small-${queue.id}-pending"
    ])
    error_message = "Objects below a function's prefix must notify its queue."
  }
  assert {
    condition     = aws_s3_bucket.raw.force_destroy
    error_message = "A small environment must be destroyable."
  }
}

run "protected" {
  variables {
    environment = "large"
  }
  assert {
    condition     = !aws_s3_bucket.raw.force_destroy
    error_message = "A protected environment must keep its files."
  }
}
