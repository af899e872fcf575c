output "execution" {
  description = "ARN of each Lambda's execution role."
  value       = { for name, role in aws_iam_role.execution : name => role.arn }
}
