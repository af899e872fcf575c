output "functions" {
  description = "Name of each Lambda."
  value       = { for name, function in aws_lambda_function.function : name => function.function_name }
}

output "mapped" {
  description = "Functions whose queue feeds their Lambda."
  value       = keys(aws_lambda_event_source_mapping.pending)
}

output "code" {
  description = "Hash of each Lambda's code when it was last deployed."
  value       = { for name, function in aws_lambda_function.function : name => function.source_code_hash }
}
