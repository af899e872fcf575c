# RDS Proxy in front of the database, if config/deploy.yml declares it. It logs in as the functions do.
locals {
  proxies = local.spec.has_proxy ? 1 : 0
}

resource "aws_db_proxy" "main" {
  count                  = local.proxies
  name                   = local.prefix
  engine_family          = { mysql = "MYSQL", postgres = "POSTGRESQL" }[var.database]
  role_arn               = "${local.roles_arn}/${local.prefix}-proxy"
  require_tls            = true
  idle_client_timeout    = 600 # seconds, as long as the database keeps idle sessions
  vpc_subnet_ids         = local.subnets
  vpc_security_group_ids = [local.group]
  auth {
    auth_scheme = "SECRETS"
    iam_auth    = "DISABLED"
    secret_arn  = aws_secretsmanager_secret.app.arn
  }
}

resource "aws_db_proxy_default_target_group" "main" {
  count         = local.proxies
  db_proxy_name = aws_db_proxy.main[0].name
  connection_pool_config {
    max_connections_percent   = 90
    connection_borrow_timeout = 60 # seconds
  }
}

resource "aws_db_proxy_target" "main" {
  count                 = local.proxies
  db_proxy_name         = aws_db_proxy.main[0].name
  target_group_name     = aws_db_proxy_default_target_group.main[0].name
  db_cluster_identifier = aws_rds_cluster.main.id
  depends_on            = [aws_rds_cluster_instance.main]
}
