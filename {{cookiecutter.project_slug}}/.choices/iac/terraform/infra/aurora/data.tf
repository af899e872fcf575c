data "aws_security_group" "database" {
  name = "${local.prefix}-database"
}

data "aws_subnets" "private" {
  tags = { Name = "${local.prefix}-private" }
}
