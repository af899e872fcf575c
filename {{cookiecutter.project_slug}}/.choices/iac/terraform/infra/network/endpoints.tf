# Endpoints for the AWS services that the functions need. Those of gateways cost nothing.
locals {
  endpoint_policies = {
    for service, statements in local.spec.endpoint_statements : service => jsonencode({ Version = "2012-10-17", Statement = statements }) if length(statements) > 0
  }
}

resource "aws_vpc_endpoint" "gateway" {
  for_each          = toset(local.spec.gateways)
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.private[*].id
  policy            = local.endpoint_policies[each.key]
}

resource "aws_vpc_endpoint" "service" {
  for_each            = toset(local.spec.endpoints)
  vpc_id              = aws_vpc.main.id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.endpoint.id]
  policy              = lookup(local.endpoint_policies, each.key, null)
}
