mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
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
    condition     = aws_s3_bucket_notification.raw.eventbridge && toset(keys(aws_cloudwatch_event_rule.created)) == toset(["worker", "fanout"])
    error_message = "Only functions with the trigger bucket must have a rule."
  }
  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.created["fanout"].event_pattern) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      detail = {
        bucket = { name = [aws_s3_bucket.raw.bucket] }
        object = { key = [{ wildcard = "incoming/*.csv" }] }
      }
    }
    error_message = "A rule must match the objects with the function's prefix and suffix."
  }
  assert {
    condition     = aws_cloudwatch_event_target.queue["fanout"].arn == "arn:aws:sqs:eu-west-1:123456789012:test-small-fanout-pending"
    error_message = "A rule must send to the function's own queue."
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

run "no_trigger" {
  variables {
    environment = "lean"
  }
  assert {
    condition     = !aws_s3_bucket_notification.raw.eventbridge && length(aws_cloudwatch_event_rule.created) == 0
    error_message = "A bucket that triggers nothing must send no events."
  }
}
