output "bucket" {
  description = "Name of the bucket that files land in."
  value       = aws_s3_bucket.raw.id
}
