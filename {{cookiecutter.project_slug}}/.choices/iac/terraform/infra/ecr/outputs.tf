output "images" {
  description = "Image of each container."
  value       = { for name, tag in local.tags : name => "${aws_ecr_repository.function[name].repository_url}:${tag}" }
}
