# Resources of other stacks. The environment local has neither network nor Aurora.
data "aws_lambda_layer_version" "packages" {
  layer_name = local.prefix
}

data "aws_security_group" "group" {
  for_each = toset(local.is_local ? [] : flatten([for each in local.functions : each.security_groups]))
  name     = "${local.prefix}-${each.key}"
}

data "aws_subnets" "private" {
  count = local.is_local ? 0 : 1
  tags  = { Name = "${local.prefix}-private" }
}

data "aws_rds_cluster" "main" {
  count              = local.spec.uses_database && !local.is_local ? 1 : 0
  cluster_identifier = local.prefix
}

locals {
  database = merge(local.is_local ? var.shim_database : {}, [
    for cluster in data.aws_rds_cluster.main : {
      DB_HOST   = cluster.endpoint
      DB_PORT   = tostring(cluster.port)
      DB_NAME   = cluster.database_name
      DB_SECRET = cluster.master_user_secret[0].secret_arn
      DB_CA     = "/opt/rds-ca.pem"
    }
  ]...)
}
