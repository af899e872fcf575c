output "pending" {
  description = "URL of each function's queue."
  value       = { for name, queue in aws_sqs_queue.pending : name => queue.url }
}

output "dead_letter" {
  description = "URL of each function's dead-letter queue."
  value       = { for name, queue in aws_sqs_queue.dead_letter : name => queue.url }
}
