mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
}

run "small" {
  assert {
    condition     = length(aws_subnet.private) == 2 && length(aws_nat_gateway.main) == 0
    error_message = "A small network must have two zones and no NAT gateway."
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.service)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs"])
    error_message = "Functions must reach AWS by endpoints."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.database_from_function.from_port == 5432 && aws_vpc_security_group_ingress_rule.database_from_function.cidr_ipv4 == null
    error_message = "Only functions may reach the database, at its port."
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
    condition     = aws_vpc_security_group_egress_rule.function_to_database.to_port == 3306
    error_message = "Functions must reach MySQL at port 3306."
  }
}
