# Resources of other stacks.
data "aws_security_group" "group" {
  for_each = toset(local.network == null ? flatten([for each in local.functions : each.security_groups]) : [])
  name     = "${local.prefix}-${each.key}"
}

data "aws_subnets" "private" {
  count = local.network == null ? 1 : 0
  tags  = { Name = "${local.prefix}-private" }
}

data "aws_rds_cluster" "main" {
  count              = local.spec.uses_database && !can(local.spec.database.DB_HOST) ? 1 : 0
  cluster_identifier = local.prefix
}

locals {
  subnets = local.network == null ? data.aws_subnets.private[0].ids : local.network.subnets
  groups = { for name, each in local.functions : name => (
    local.network == null ? [for group in each.security_groups : data.aws_security_group.group[group].id] : [local.network.security_group]
  ) }
  database = merge({ DB_CA = "/app/rds-ca.pem" }, local.spec.database, [
    for cluster in data.aws_rds_cluster.main : {
      DB_HOST = cluster.endpoint
      DB_PORT = tostring(cluster.port)
    }
  ]...)
}
