# Resources of other stacks.
data "aws_ecr_repository" "function" {
  for_each = local.containers
  name     = "${local.prefix}-${each.key}"
}

data "aws_security_group" "group" {
  for_each = toset(flatten([for each in local.functions : each.security_groups]))
  name     = "${local.prefix}-${each.key}"
}

data "aws_subnets" "private" {
  tags = { Name = "${local.prefix}-private" }
}

data "aws_rds_cluster" "main" {
  count              = local.spec.uses_database ? 1 : 0
  cluster_identifier = local.prefix
}

locals {
  database = merge([
    for cluster in data.aws_rds_cluster.main : {
      DB_HOST   = cluster.endpoint
      DB_PORT   = tostring(cluster.port)
      DB_NAME   = cluster.database_name
      DB_SECRET = cluster.master_user_secret[0].secret_arn
      DB_CA     = "/app/rds-ca.pem"
    }
  ]...)
}
