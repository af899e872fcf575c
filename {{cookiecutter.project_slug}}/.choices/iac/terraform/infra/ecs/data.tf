# Resources of other stacks.
data "aws_ecr_repository" "function" {
  for_each = local.containers
  name     = "${local.prefix}-${each.key}"
}

data "aws_security_group" "function" {
  name = "${local.prefix}-function"
}

data "aws_subnets" "private" {
  tags = { Name = "${local.prefix}-private" }
}

data "aws_rds_cluster" "main" {
  cluster_identifier = local.prefix
}

locals {
  database = {
    DB_HOST   = data.aws_rds_cluster.main.endpoint
    DB_PORT   = tostring(data.aws_rds_cluster.main.port)
    DB_NAME   = data.aws_rds_cluster.main.database_name
    DB_SECRET = data.aws_rds_cluster.main.master_user_secret[0].secret_arn
    DB_CA     = "/app/rds-ca.pem"
  }
}
