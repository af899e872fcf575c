output "cluster" {
  description = "ARN of the cluster, for the Data API."
  value       = aws_rds_cluster.main.arn
}

output "endpoint" {
  description = "Host of the database."
  value       = aws_rds_cluster.main.endpoint
}

output "secret" {
  description = "ARN of the secret with user and password."
  value       = aws_rds_cluster.main.master_user_secret[0].secret_arn
}
