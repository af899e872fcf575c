output "bucket" {
  description = "Name of the bucket."
  value       = local.spec.bucket
}
