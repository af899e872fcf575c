# Functions reach AWS. Only those that declare it reach the database, or the internet: see nat.tf.
locals {
  database_port = { mysql = 3306, postgres = 5432 }[var.database]
}

data "aws_prefix_list" "gateway" {
  for_each = toset(local.spec.gateways)
  name     = "com.amazonaws.${local.region}.${each.key}"
}

resource "aws_security_group" "function" {
  #checkov:skip=CKV2_AWS_5:the stacks lambda and ecs attach it
  name        = "${local.prefix}-function"
  description = "Functions"
  vpc_id      = aws_vpc.main.id
}

resource "aws_security_group" "sql" {
  #checkov:skip=CKV2_AWS_5:the stacks lambda and ecs attach it
  name        = "${local.prefix}-sql"
  description = "Functions that use the database"
  vpc_id      = aws_vpc.main.id
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:the stack aurora attaches it
  name        = "${local.prefix}-database"
  description = "Database"
  vpc_id      = aws_vpc.main.id
}

resource "aws_security_group" "endpoint" {
  name        = "${local.prefix}-endpoint"
  description = "Endpoints of AWS"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_egress_rule" "sql_to_database" {
  security_group_id            = aws_security_group.sql.id
  referenced_security_group_id = aws_security_group.database.id
  description                  = "SQL to the database"
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
}

resource "aws_vpc_security_group_ingress_rule" "database_from_sql" {
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = aws_security_group.sql.id
  description                  = "SQL from functions"
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
}

resource "aws_vpc_security_group_egress_rule" "function_to_endpoint" {
  security_group_id            = aws_security_group.function.id
  referenced_security_group_id = aws_security_group.endpoint.id
  description                  = "HTTPS to AWS"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoint_from_function" {
  security_group_id            = aws_security_group.endpoint.id
  referenced_security_group_id = aws_security_group.function.id
  description                  = "HTTPS from functions"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "function_to_gateway" {
  for_each          = data.aws_prefix_list.gateway
  security_group_id = aws_security_group.function.id
  prefix_list_id    = each.value.id
  description       = "HTTPS to ${each.key}"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "proxy_to_database" {
  count                        = local.spec.has_proxy ? 1 : 0
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = aws_security_group.database.id
  description                  = "SQL from the proxy to the database"
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
}

resource "aws_vpc_security_group_ingress_rule" "database_from_proxy" {
  count                        = local.spec.has_proxy ? 1 : 0
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = aws_security_group.database.id
  description                  = "SQL from the proxy"
  ip_protocol                  = "tcp"
  from_port                    = local.database_port
  to_port                      = local.database_port
}
