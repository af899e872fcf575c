mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
}

run "postgres" {
  assert {
    condition     = aws_rds_cluster.main.engine == "aurora-postgresql" && one(aws_rds_cluster_parameter_group.main.parameter).name == "rds.force_ssl"
    error_message = "Aurora PostgreSQL requires TLS."
  }
  assert {
    condition     = aws_rds_cluster.main.manage_master_user_password && aws_rds_cluster.main.master_password == null && aws_rds_cluster.main.storage_encrypted
    error_message = "Secrets Manager has the password, and what is stored is encrypted."
  }
  assert {
    condition     = !aws_rds_cluster.main.deletion_protection && length(aws_rds_cluster_instance.main) == 1
    error_message = "A small environment is cheap, and can be destroyed."
  }
  assert {
    condition     = length(aws_iam_role_policy.secret) == 2 * length(local.names)
    error_message = "Each function may read the password, as Lambda and as container."
  }
}

run "mysql" {
  variables {
    environment = "large"
    database    = "mysql"
  }
  assert {
    condition     = { for each in aws_rds_cluster_parameter_group.main.parameter : each.name => each.value } == { require_secure_transport = "ON", local_infile = "1" }
    error_message = "Aurora MySQL requires TLS, and takes the bulk statement."
  }
  assert {
    condition     = aws_rds_cluster.main.deletion_protection && !aws_rds_cluster.main.skip_final_snapshot && aws_rds_cluster.main.backup_retention_period == 14
    error_message = "A large environment is protected."
  }
}

run "other" {
  command = plan
  variables {
    database = "oracle"
  }
  expect_failures = [var.database]
}
