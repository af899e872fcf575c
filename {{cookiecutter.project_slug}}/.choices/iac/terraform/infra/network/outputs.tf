output "vpc" {
  description = "ID of the VPC."
  value       = aws_vpc.main.id
}

output "subnets" {
  description = "IDs of the private subnets, one in each zone."
  value       = aws_subnet.private[*].id
}
