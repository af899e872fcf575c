# The network of the stack network, or an existing one, which gets a group for the database.
locals {
  port    = { mysql = 3306, postgres = 5432 }[var.database]
  subnets = local.network == null ? data.aws_subnets.private[0].ids : local.network.subnets
  group   = local.network == null ? data.aws_security_group.database[0].id : aws_security_group.database[0].id
}

data "aws_security_group" "database" {
  count = local.network == null ? 1 : 0
  name  = "${local.prefix}-database"
}

data "aws_subnets" "private" {
  count = local.network == null ? 1 : 0
  tags  = { Name = "${local.prefix}-private" }
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:the cluster has it, see local.group
  count       = local.network == null ? 0 : 1
  name        = "${local.prefix}-database"
  description = "Database"
  vpc_id      = local.network.vpc
}

resource "aws_vpc_security_group_ingress_rule" "database_from_functions" {
  count                        = local.network == null ? 0 : 1
  security_group_id            = aws_security_group.database[0].id
  referenced_security_group_id = local.network.security_group
  description                  = "SQL from functions"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "proxy_to_database" {
  count                        = local.network == null ? 0 : local.proxies
  security_group_id            = aws_security_group.database[0].id
  referenced_security_group_id = aws_security_group.database[0].id
  description                  = "SQL from the proxy to the database"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "database_from_proxy" {
  count                        = local.network == null ? 0 : local.proxies
  security_group_id            = aws_security_group.database[0].id
  referenced_security_group_id = aws_security_group.database[0].id
  description                  = "SQL from the proxy"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}
