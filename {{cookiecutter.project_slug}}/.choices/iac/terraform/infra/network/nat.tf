# A NAT gateway in a public subnet, if a function declares `internet: true`.
locals {
  nat = local.spec.uses_internet ? 1 : 0
}

resource "aws_internet_gateway" "main" {
  count  = local.nat
  vpc_id = aws_vpc.main.id
}

resource "aws_subnet" "public" {
  count             = local.nat
  vpc_id            = aws_vpc.main.id
  availability_zone = local.zones[0]
  cidr_block        = cidrsubnet(local.settings.cidr, 4, 15)
  tags              = { Name = "${local.prefix}-public" }
}

resource "aws_route_table" "public" {
  count  = local.nat
  vpc_id = aws_vpc.main.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main[0].id
  }
}

resource "aws_route_table_association" "public" {
  count          = local.nat
  subnet_id      = aws_subnet.public[0].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  #checkov:skip=CKV2_AWS_19:the NAT gateway uses it
  count  = local.nat
  domain = "vpc"
}

resource "aws_nat_gateway" "main" {
  count         = local.nat
  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id
  depends_on    = [aws_internet_gateway.main]
}

resource "aws_route" "internet" {
  count                  = local.nat * length(local.zones)
  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.main[0].id
}

# Without a NAT gateway, too: Lambda keeps it in use for the old versions of a function.
resource "aws_security_group" "internet" {
  #checkov:skip=CKV2_AWS_5:the stacks lambda and ecs attach it
  name        = "${local.prefix}-internet"
  description = "Functions that call the internet"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  count             = local.nat
  security_group_id = aws_security_group.internet.id
  description       = "TCP to anywhere"
  ip_protocol       = "tcp"
  from_port         = 0
  to_port           = 65535
  cidr_ipv4         = "0.0.0.0/0"
}
