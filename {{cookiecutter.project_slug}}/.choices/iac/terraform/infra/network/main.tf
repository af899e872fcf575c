# A VPC with a private subnet in each zone.
data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:zones are sorted by name, so a region's new zone comes last
  state            = "available"
  exclude_zone_ids = ["use1-az3"] # Lambda has no capacity left in it
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # no local zones
  }
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, local.settings.zones)
}

resource "aws_vpc" "main" {
  #checkov:skip=CKV2_AWS_11:flow logs cost money; each account decides on them
  #checkov:skip=CKV2_AWS_12:nothing uses the default group, and emptying it takes rights on groups of others
  cidr_block           = local.settings.cidr
  enable_dns_hostnames = true # for the interface endpoints' private names
  tags                 = { Name = local.prefix }
}

resource "aws_subnet" "private" {
  count             = length(local.zones)
  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(local.settings.cidr, 4, count.index)
  tags              = { Name = "${local.prefix}-private" }
}

resource "aws_route_table" "private" {
  count  = length(local.zones)
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${local.prefix}-private" }
}

resource "aws_route_table_association" "private" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}
