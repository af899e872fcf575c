# Tags come from the build: the same code is no new deployment.
output "images" {
  description = "Image of each container."
  value       = { for name in keys(local.containers) : name => "${aws_ecr_repository.function[name].repository_url}:${file("${local.build}/local/${name}.tag")}-${local.spec.architecture}" }
}
