# Aurora Serverless v2. Secrets Manager holds its password and rotates it; the state never holds it.
locals {
  size = local.settings.database
  engine = {
    mysql = {
      name    = "aurora-mysql"
      version = "8.0.mysql_aurora.3.12.0"
      family  = "aurora-mysql8.0"
      logs    = ["audit", "error"]
      parameters = {
        require_secure_transport = "ON"
        local_infile             = "1"
        wait_timeout             = "600"
        server_audit_logging     = "1"
        server_audit_events      = "CONNECT"
      }
    }
    postgres = {
      name       = "aurora-postgresql"
      version    = "17.9"
      family     = "aurora-postgresql17"
      logs       = ["postgresql"]
      parameters = { "rds.force_ssl" = "1", idle_session_timeout = "600000" }
    }
  }[var.database]
}

# Idle sessions end after ten minutes, because Aurora pauses only when none is open.
resource "aws_rds_cluster_parameter_group" "main" {
  name_prefix = "${local.prefix}-" # another major version needs a second one beside it
  family      = local.engine.family
  description = "TLS for all"
  dynamic "parameter" {
    for_each = local.engine.parameters
    content {
      name         = parameter.key
      value        = parameter.value
      apply_method = "pending-reboot"
    }
  }
  lifecycle {
    create_before_destroy = true # the cluster leaves the old one first
  }
}

# RDS's own log groups would never expire, and would outlive the cluster.
resource "aws_cloudwatch_log_group" "main" {
  #checkov:skip=CKV_AWS_158:encrypted with CloudWatch's own key
  #checkov:skip=CKV_AWS_338:config/deploy.yml sets the retention
  for_each          = toset(local.engine.logs)
  name              = "/aws/rds/cluster/${local.prefix}/${each.key}"
  retention_in_days = local.spec.log_days
}

resource "aws_db_subnet_group" "main" {
  name       = local.prefix
  subnet_ids = local.subnets
}

resource "aws_rds_cluster" "main" {
  #checkov:skip=CKV_AWS_162:functions log in with the secret; the shim's databases have no IAM login
  #checkov:skip=CKV_AWS_327:encrypted with RDS's own key, which costs nothing
  #checkov:skip=CKV2_AWS_8:Aurora's backups go back backup_days
  #checkov:skip=CKV_AWS_139:config/deploy.yml protects the environments that need it
  cluster_identifier              = local.prefix
  engine                          = local.engine.name
  engine_version                  = local.engine.version
  allow_major_version_upgrade     = true
  apply_immediately               = true # else the old parameter group is still in use when it is deleted
  database_name                   = "main"
  master_username                 = "worker"
  manage_master_user_password     = true
  storage_encrypted               = true
  db_subnet_group_name            = aws_db_subnet_group.main.name
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.main.name
  vpc_security_group_ids          = [local.group]
  enabled_cloudwatch_logs_exports = local.engine.logs
  enable_http_endpoint            = true # the Data API, for `make sql` and the query editor
  backup_retention_period         = local.size.backup_days
  copy_tags_to_snapshot           = true
  engine_lifecycle_support        = "open-source-rds-extended-support-disabled" # it is charged by vCPU
  deletion_protection             = local.size.is_protected
  skip_final_snapshot             = local.size.backup_days == 1 # one day of backups needs no final snapshot either
  final_snapshot_identifier       = "${local.prefix}-${formatdate("YYYYMMDDhhmmss", plantimestamp())}"
  depends_on                      = [aws_cloudwatch_log_group.main]

  serverlessv2_scaling_configuration {
    min_capacity = local.size.min_capacity
    max_capacity = local.size.max_capacity
  }
  lifecycle {
    ignore_changes = [final_snapshot_identifier] # it holds the time of the plan
  }
}

resource "aws_rds_cluster_instance" "main" {
  #checkov:skip=CKV_AWS_118:Performance Insights, below, replaces enhanced monitoring
  #checkov:skip=CKV_AWS_226:the next deploy would try to go back to the version above
  #checkov:skip=CKV_AWS_354:encrypted with RDS's own key
  count                        = local.size.instances
  identifier                   = "${local.prefix}-${count.index}"
  cluster_identifier           = aws_rds_cluster.main.id
  engine                       = aws_rds_cluster.main.engine
  engine_version               = aws_rds_cluster.main.engine_version
  instance_class               = "db.serverless"
  auto_minor_version_upgrade   = false
  promotion_tier               = 2 # in tiers 0 and 1, an idle reader grows and costs as much as the writer
  performance_insights_enabled = true
}
