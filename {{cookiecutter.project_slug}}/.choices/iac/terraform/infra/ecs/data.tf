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

data "aws_db_proxy" "main" {
  count = local.spec.uses_database && local.spec.has_proxy ? 1 : 0
  name  = local.prefix
}

locals {
  # the proxy's certificate is of a public CA
  ca_bundle = local.spec.has_proxy ? "/etc/ssl/certs/ca-certificates.crt" : "/app/rds-ca.pem"
  subnets   = local.network == null ? data.aws_subnets.private[0].ids : local.network.subnets
  groups = { for name, each in local.functions : name => (
    local.network == null ? [for group in each.security_groups : data.aws_security_group.group[group].id] : [local.network.security_group]
  ) }
  database = merge({ DB_CA = local.ca_bundle }, local.spec.database, [
    for cluster in data.aws_rds_cluster.main : {
      DB_HOST = local.spec.has_proxy ? data.aws_db_proxy.main[0].endpoint : cluster.endpoint
      DB_PORT = tostring(cluster.port)
    }
  ]...)
}
