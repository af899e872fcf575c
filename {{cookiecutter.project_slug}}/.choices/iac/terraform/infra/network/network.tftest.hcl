mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "small" {
  assert {
    condition     = length(aws_subnet.private) == 2 && length(aws_nat_gateway.main) == 0
    error_message = "A small network must have two zones and no NAT gateway."
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.service)) == toset(["secretsmanager", "sqs"]) && toset(keys(aws_vpc_endpoint.gateway)) == toset(["dynamodb", "s3"])
    error_message = "There must be endpoints for what the functions declare, and no others."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.database_from_sql.from_port == 5432 && aws_vpc_security_group_ingress_rule.database_from_sql.referenced_security_group_id == aws_security_group.sql.id
    error_message = "Only functions that declare it may reach the database, at its port."
  }
  assert {
    condition     = length(aws_nat_gateway.main) + length(aws_vpc_security_group_egress_rule.internet) == 0
    error_message = "No function may reach the internet."
  }
}

run "endpoint_policies" {
  assert {
    condition = [for each in jsondecode(aws_vpc_endpoint.gateway["s3"].policy).Statement : [each.Action, each.Resource, each.Condition.StringEquals["aws:PrincipalAccount"]]] == [
      [["s3:*"], ["arn:aws:s3:::test-small-raw-123456789012", "arn:aws:s3:::test-small-raw-123456789012/*"], "123456789012"]
    ]
    error_message = "The endpoint of S3 must only reach the project's bucket."
  }
  assert {
    condition = alltrue([
      for each in concat(values(aws_vpc_endpoint.service), [aws_vpc_endpoint.gateway["dynamodb"]]) :
      jsondecode(each.policy).Statement[0].Condition.StringEquals["aws:PrincipalAccount"] == "123456789012" && length(jsondecode(each.policy).Statement) == 1
    ])
    error_message = "Only this account may use an endpoint."
  }
}

run "large" {
  variables {
    environment = "large"
    database    = "mysql"
  }
  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_nat_gateway.main) == 1
    error_message = "A large network must have three zones and a NAT gateway."
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.service)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs"])
    error_message = "Containers must get their images and write their logs."
  }
  assert {
    condition     = { for each in jsondecode(aws_vpc_endpoint.gateway["s3"].policy).Statement : each.Sid => each.Resource }["ImageLayers"] == ["arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*"]
    error_message = "Containers must get the layers of their images from ECR's bucket."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.internet[0].security_group_id == aws_security_group.internet.id
    error_message = "Only functions that declare it may reach the internet."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.internet[0].from_port == 0 && aws_vpc_security_group_egress_rule.internet[0].to_port == 65535 && aws_vpc_security_group_egress_rule.internet[0].cidr_ipv4 == "0.0.0.0/0"
    error_message = "They must reach each port, such as 22 of an SFTP server."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.sql_to_database.to_port == 3306
    error_message = "Functions must reach MySQL at port 3306."
  }
}
