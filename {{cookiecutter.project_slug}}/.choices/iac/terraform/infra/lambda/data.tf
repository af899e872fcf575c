# Resources of other stacks. The environment local has neither network nor Aurora.
data "aws_lambda_layer_version" "packages" {
  layer_name = local.prefix
}

data "aws_security_group" "group" {
  for_each = toset(local.finds_network ? flatten([for each in local.functions : each.security_groups]) : [])
  name     = "${local.prefix}-${each.key}"
}

data "aws_subnets" "private" {
  count = local.finds_network ? 1 : 0
  tags  = { Name = "${local.prefix}-private" }
}

data "aws_rds_cluster" "main" {
  count              = local.spec.uses_database && !local.is_local && !can(local.spec.database.DB_HOST) ? 1 : 0
  cluster_identifier = local.prefix
}

data "aws_db_proxy" "main" {
  count = local.spec.uses_database && local.spec.has_proxy ? 1 : 0
  name  = local.prefix
}

locals {
  # the proxy's certificate is of a public CA
  ca_bundle     = local.spec.has_proxy ? "/etc/pki/tls/certs/ca-bundle.crt" : "/opt/rds-ca.pem"
  finds_network = !local.is_local && local.network == null
  subnets       = local.finds_network ? data.aws_subnets.private[0].ids : try(local.network.subnets, [])
  groups = { for name, each in local.functions : name => (
    local.finds_network ? [for group in each.security_groups : data.aws_security_group.group[group].id] : [local.network.security_group]
  ) if !local.is_local }
  database = merge(local.is_local ? var.shim_database : { DB_CA = local.ca_bundle }, local.spec.database, [
    for cluster in data.aws_rds_cluster.main : {
      DB_HOST = local.spec.has_proxy ? data.aws_db_proxy.main[0].endpoint : cluster.endpoint
      DB_PORT = tostring(cluster.port)
    }
  ]...)
}
