output "services" {
  description = "Functions that run as containers."
  value       = keys(aws_ecs_service.function)
}
