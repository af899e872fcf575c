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
      aws_s3_bucket_public_access_block.raw[0].block_public_acls,
      aws_s3_bucket_public_access_block.raw[0].block_public_policy,
      aws_s3_bucket_public_access_block.raw[0].ignore_public_acls,
      aws_s3_bucket_public_access_block.raw[0].restrict_public_buckets,
    ])
    error_message = "The bucket must not be public."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.raw[0].policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "The bucket must require TLS."
  }
  assert {
    condition     = aws_s3_bucket_versioning.raw[0].versioning_configuration[0].status == "Enabled"
    error_message = "The bucket must be versioned."
  }
  assert {
    condition     = aws_s3_bucket_notification.raw[0].eventbridge && toset(keys(aws_cloudwatch_event_rule.created)) == toset(["worker", "fanout"])
    error_message = "Only functions with the trigger bucket must have a rule."
  }
  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.created["fanout"].event_pattern) == {
      source      = ["aws.s3"]
      detail-type = ["Object Created"]
      detail = {
        bucket = { name = ["test-small-raw-123456789012"] }
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
    condition     = aws_s3_bucket.raw[0].force_destroy
    error_message = "A small environment must be destroyable."
  }
  assert {
    condition     = jsonencode([for rule in aws_s3_bucket_lifecycle_configuration.raw[0].rule : [rule.id, rule.transition[*].days, rule.expiration[*].days, rule.noncurrent_version_expiration[*].noncurrent_days]]) == jsonencode([["raw", [30], [], [90]]])
    error_message = "Files must be kept for ever."
  }
}

run "protected" {
  variables {
    environment = "large"
  }
  assert {
    condition     = !aws_s3_bucket.raw[0].force_destroy
    error_message = "A protected environment must keep its files."
  }
  assert {
    condition     = jsonencode([for rule in aws_s3_bucket_lifecycle_configuration.raw[0].rule : [rule.id, length(rule.transition), rule.expiration[0].days == 45, rule.expiration[0].expired_object_delete_marker == true]]) == jsonencode([["raw", 0, true, false], ["markers", 0, false, true]])
    error_message = "Files must expire after raw_file_days."
  }
}

run "no_trigger" {
  variables {
    environment = "lean"
  }
  assert {
    condition     = !aws_s3_bucket_notification.raw[0].eventbridge && length(aws_cloudwatch_event_rule.created) == 0
    error_message = "A bucket that triggers nothing must send no events."
  }
}

run "existing" {
  variables {
    environment = "existing"
  }
  assert {
    condition     = length(aws_s3_bucket.raw) == 0 && length(aws_s3_bucket_policy.raw) == 0 && length(aws_s3_bucket_notification.raw) == 0
    error_message = "An existing bucket must stay as it is."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.created["worker"].event_pattern).detail.bucket.name == ["company-files"]
    error_message = "Its new objects must reach the functions."
  }
}
