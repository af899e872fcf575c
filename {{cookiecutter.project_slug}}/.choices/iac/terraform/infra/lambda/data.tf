# Resources of other stacks. The environment local has neither network nor Aurora.
data "aws_lambda_layer_version" "packages" {
  layer_name = local.prefix
}

data "aws_security_group" "function" {
  count = local.is_local ? 0 : 1
  name  = "${local.prefix}-function"
}

data "aws_subnets" "private" {
  count = local.is_local ? 0 : 1
  tags  = { Name = "${local.prefix}-private" }
}

data "aws_rds_cluster" "main" {
  count              = local.is_local ? 0 : 1
  cluster_identifier = local.prefix
}

locals {
  database = local.is_local ? var.shim_database : {
    DB_HOST   = data.aws_rds_cluster.main[0].endpoint
    DB_PORT   = tostring(data.aws_rds_cluster.main[0].port)
    DB_NAME   = data.aws_rds_cluster.main[0].database_name
    DB_SECRET = data.aws_rds_cluster.main[0].master_user_secret[0].secret_arn
    DB_CA     = "/opt/rds-ca.pem"
  }
}
