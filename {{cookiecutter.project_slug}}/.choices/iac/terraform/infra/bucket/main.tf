# The bucket for files, unless config/deploy.yml names an existing one.
locals {
  count = try(local.settings.bucket, null) == null ? 1 : 0
}

resource "aws_s3_bucket" "raw" {
  #checkov:skip=CKV_AWS_18:CloudTrail logs access, for the whole account
  #checkov:skip=CKV_AWS_144:files can be uploaded again, so one region is enough
  #checkov:skip=CKV_AWS_145:with S3's own key, producers in other accounts need no grant on a key
  count         = local.count
  bucket        = local.spec.bucket
  force_destroy = !try(local.settings.database.is_protected, false)
}

resource "aws_s3_bucket_public_access_block" "raw" {
  count                   = local.count
  bucket                  = aws_s3_bucket.raw[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "raw" {
  count  = local.count
  bucket = aws_s3_bucket.raw[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "raw" {
  count  = local.count
  bucket = aws_s3_bucket.raw[0].id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "raw" {
  count  = local.count
  bucket = aws_s3_bucket.raw[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "raw" {
  #checkov:skip=CKV_AWS_300:the first rule does so for the whole bucket
  count      = local.is_local ? 0 : local.count # the emulator expires nothing, and Terraform would wait for 55 s
  bucket     = aws_s3_bucket.raw[0].id
  depends_on = [aws_s3_bucket_versioning.raw]
  rule {
    id     = "raw"
    status = "Enabled"
    filter {}
    dynamic "transition" {
      for_each = compact([local.spec.lifecycle.transition])
      content {
        days          = transition.value
        storage_class = "STANDARD_IA"
      }
    }
    dynamic "expiration" {
      for_each = compact([local.spec.lifecycle.expiration])
      content {
        days = expiration.value
      }
    }
    noncurrent_version_expiration {
      noncurrent_days = local.spec.lifecycle.noncurrent
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
  # What remains of a file that has expired, once its versions have; S3 wants a rule of its own.
  dynamic "rule" {
    for_each = compact([local.spec.lifecycle.expiration])
    content {
      id     = "markers"
      status = "Enabled"
      filter {}
      expiration {
        expired_object_delete_marker = true
      }
    }
  }
}

resource "aws_s3_bucket_policy" "raw" {
  count      = local.is_local ? 0 : local.count # the emulator has no TLS
  bucket     = aws_s3_bucket.raw[0].id
  depends_on = [aws_s3_bucket_public_access_block.raw]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RequireTls"
      Effect    = "Deny"
      Action    = ["s3:*"]
      Principal = "*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
