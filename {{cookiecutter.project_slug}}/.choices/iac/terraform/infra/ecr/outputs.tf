output "images" {
  description = "Name and tag of the image of each function that is a container."
  value       = { for name, tag in local.tags : name => "${aws_ecr_repository.function[name].repository_url}:${tag}" }
}
