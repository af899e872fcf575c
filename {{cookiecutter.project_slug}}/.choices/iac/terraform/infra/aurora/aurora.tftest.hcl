mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "postgres" {
  assert {
    condition     = aws_rds_cluster.main.engine == "aurora-postgresql" && { for each in aws_rds_cluster_parameter_group.main.parameter : each.name => each.value } == { "rds.force_ssl" = "1", idle_session_timeout = "600000" }
    error_message = "Aurora PostgreSQL must require TLS and end idle sessions."
  }
  assert {
    condition     = aws_rds_cluster.main.manage_master_user_password && aws_rds_cluster.main.master_password == null && aws_rds_cluster.main.storage_encrypted
    error_message = "Secrets Manager must hold the password, and storage must be encrypted."
  }
  assert {
    condition     = !aws_rds_cluster.main.deletion_protection && length(aws_rds_cluster_instance.main) == 1
    error_message = "A small environment must have one instance and be destroyable."
  }
  assert {
    condition     = aws_rds_cluster.main.skip_final_snapshot && alltrue([for instance in aws_rds_cluster_instance.main : !instance.auto_minor_version_upgrade])
    error_message = "Only a deploy may change the version."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.main : group.name == "/aws/rds/cluster/test-small/postgresql" && group.retention_in_days == 30])
    error_message = "The logs must expire."
  }
  assert {
    condition = toset(keys(aws_iam_role_policy.secret)) == toset(flatten([
      for name in ["worker", "part", "nightly", "orders", "prices"] : ["test-small-${name}-execution", "test-small-${name}-task"]
    ]))
    error_message = "Functions that use the database must be able to read the password, and no others."
  }
}

run "mysql" {
  variables {
    environment = "large"
    database    = "mysql"
  }
  assert {
    condition     = { for each in aws_rds_cluster_parameter_group.main.parameter : each.name => each.value } == { require_secure_transport = "ON", local_infile = "1", wait_timeout = "600", server_audit_logging = "1", server_audit_events = "CONNECT" }
    error_message = "Aurora MySQL must require TLS, allow LOAD DATA, end idle sessions and audit connections."
  }
  assert {
    condition     = aws_rds_cluster.main.deletion_protection && !aws_rds_cluster.main.skip_final_snapshot && aws_rds_cluster.main.backup_retention_period == 14
    error_message = "A large environment must be protected."
  }
}

run "other" {
  command = plan
  variables {
    database = "oracle"
  }
  expect_failures = [var.database]
}
