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
    condition     = aws_rds_cluster_parameter_group.main.name_prefix == "test-small-" && aws_rds_cluster.main.allow_major_version_upgrade && aws_rds_cluster.main.apply_immediately
    error_message = "A new major version must get a parameter group of its own at once."
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
    condition     = aws_rds_cluster.main.engine_lifecycle_support == "open-source-rds-extended-support-disabled" && alltrue([for instance in aws_rds_cluster_instance.main : instance.promotion_tier == 2])
    error_message = "There must be no charge for extended support, and none for a reader that grows with the writer."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.main : group.name == "/aws/rds/cluster/test-small/postgresql" && group.retention_in_days == 30])
    error_message = "The logs must expire."
  }
  assert {
    condition     = aws_secretsmanager_secret.app.name == "test-small-app" && aws_secretsmanager_secret.app.recovery_window_in_days == 0
    error_message = "The functions' user must have a secret of its own."
  }
  assert {
    condition     = length(aws_db_proxy.main) + length(aws_db_proxy_target.main) == 0
    error_message = "Without proxy: true, there must be no proxy."
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
  assert {
    condition     = aws_db_proxy.main[0].engine_family == "MYSQL" && aws_db_proxy.main[0].require_tls && one(aws_db_proxy.main[0].auth).iam_auth == "DISABLED" && aws_db_proxy_default_target_group.main[0].connection_pool_config[0].max_connections_percent == 90
    error_message = "A proxy must require TLS and leave some connections to others."
  }
}

run "other" {
  command = plan
  variables {
    database = "oracle"
  }
  expect_failures = [var.database]
}

run "shared" {
  variables {
    environment = "shared"
  }
  assert {
    condition     = aws_security_group.database[0].vpc_id == "vpc-0123456789abcdef0" && aws_vpc_security_group_ingress_rule.database_from_functions[0].referenced_security_group_id == "sg-0123456789abcdef0" && aws_vpc_security_group_ingress_rule.database_from_functions[0].to_port == 5432
    error_message = "In an existing network, only the functions' group may reach the database."
  }
  assert {
    condition     = aws_db_subnet_group.main.subnet_ids == toset(["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"])
    error_message = "The database must be in the existing subnets."
  }
}
