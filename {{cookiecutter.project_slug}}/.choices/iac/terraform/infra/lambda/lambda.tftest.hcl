mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "lambda" {
  assert {
    condition     = toset(keys(aws_lambda_event_source_mapping.pending)) == local.names
    error_message = "Each function with runtime lambda must have an event source mapping."
  }
  assert {
    condition = alltrue([
      for mapping in aws_lambda_event_source_mapping.pending :
      mapping.function_response_types == toset(["ReportBatchItemFailures"]) && mapping.scaling_config[0].maximum_concurrency == 10
    ])
    error_message = "Mappings must report batch item failures and limit concurrency."
  }
  assert {
    condition     = alltrue([for each in aws_lambda_event_source_mapping.pending : endswith(each.function_name, ":live")]) && keys(aws_lambda_alias.live) == keys(aws_lambda_function.function)
    error_message = "Queues must feed the alias live, which each Lambda must have."
  }
  assert {
    condition     = alltrue([for config in aws_lambda_function_event_invoke_config.function : config.maximum_retry_attempts == 0])
    error_message = "Lambda itself must not retry."
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.function : function.architectures == tolist(["arm64"]) && function.memory_size == 512])
    error_message = "Architecture and memory must be those of config/deploy.yml."
  }
  assert {
    condition     = toset(keys(aws_lambda_function.function["worker"].environment[0].variables)) == toset(["BUCKET", "DB_HOST", "DB_PORT", "DB_NAME", "DB_SECRET", "DB_CA"])
    error_message = "The environment must hold the secret's ARN and no password."
  }
  assert {
    condition = aws_lambda_function.function["enrich"].environment[0].variables == tomap({
      API_KEY_SECRET = "partner/api-key"
      API_URL        = "https://api.example.com"
      BUCKET         = "test-small-raw-123456789012"
    })
    error_message = "A Lambda without the database must have its own variables only."
  }
  assert {
    condition     = aws_lambda_function.function["fanout"].environment[0].variables["SEND_QUEUES"] == "part=test-small-part-pending"
    error_message = "A Lambda must know the queues that it sends to."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.pending["orders"].event_source_arn == "arn:aws:sqs:eu-west-1:123456789012:test-small-orders-pending.fifo" && aws_lambda_event_source_mapping.pending["orders"].maximum_batching_window_in_seconds == 0
    error_message = "A FIFO queue must feed its Lambda without a batch window."
  }
}

run "release" {
  assert {
    condition = [for group in aws_codedeploy_deployment_group.function : [
      group.app_name, group.deployment_group_name, group.deployment_config_name, group.service_role_arn,
    ]] == [["test-small", "part", "test-small-canary-10-percent-10-minutes", "arn:aws:iam::123456789012:role/test-small-release"]]
    error_message = "CodeDeploy must release the functions that declare it."
  }
  assert {
    condition = [for config in aws_codedeploy_deployment_config.canary : [
      config.traffic_routing_config[0].type, config.traffic_routing_config[0].time_based_canary[0].percentage, config.traffic_routing_config[0].time_based_canary[0].interval,
    ]] == [["TimeBasedCanary", 10, 10]]
    error_message = "The canary must be the declared one."
  }
  assert {
    condition     = alltrue([for group in aws_codedeploy_deployment_group.function : length(group.alarm_configuration) == 0 && contains(group.auto_rollback_configuration[0].events, "DEPLOYMENT_STOP_ON_ALARM")])
    error_message = "A group must go back when an alarm fires, and leave it to a deployment which ones."
  }
}

run "pollers" {
  variables {
    environment = "lean"
  }
  assert {
    condition     = toset(keys(aws_codedeploy_deployment_group.function)) == toset(["orders", "part", "prices"]) && length(aws_codedeploy_deployment_config.canary) == 2
    error_message = "Functions with the same canary must share its configuration."
  }
  assert {
    condition = {
      for name, each in aws_lambda_event_source_mapping.pending : name => [each.provisioned_poller_config[0].minimum_pollers, each.provisioned_poller_config[0].maximum_pollers]
      if length(each.scaling_config) == 0
    } == { part = [2, 20] }
    error_message = "Provisioned pollers must replace the maximum concurrency."
  }
}

run "container" {
  variables {
    environment = "large"
  }
  assert {
    condition     = length(aws_lambda_event_source_mapping.pending) == 0
    error_message = "A container's queue must not feed its Lambda."
  }
  assert {
    condition     = length(aws_codedeploy_app.releases) + length(aws_codedeploy_deployment_group.function) == 0
    error_message = "CodeDeploy must not release containers."
  }
}

run "handover" {
  variables {
    environment  = "large"
    still_mapped = ["worker"]
  }
  assert {
    condition     = toset(keys(aws_lambda_event_source_mapping.pending)) == toset(setintersection(local.names, ["worker"]))
    error_message = "A container must keep its mapping while it moves."
  }
}

run "no_database" {
  variables {
    environment = "lean"
  }
  assert {
    condition     = length(data.aws_rds_cluster.main) == 0
    error_message = "Without functions that use it, the stack must not need the database."
  }
}

run "existing" {
  variables {
    environment = "existing"
  }
  assert {
    condition = alltrue([
      for each in aws_lambda_function.function :
      each.vpc_config[0].security_group_ids == toset(["sg-0123456789abcdef0"]) && each.vpc_config[0].subnet_ids == toset(["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"])
    ])
    error_message = "Lambdas must be in the existing network."
  }
  assert {
    condition = aws_lambda_function.function["worker"].environment[0].variables == tomap({
      BUCKET    = "company-files"
      DB_CA     = "/opt/rds-ca.pem"
      DB_HOST   = "db.example.internal"
      DB_NAME   = "shop"
      DB_PORT   = "5432"
      DB_SECRET = "shop/database"
    })
    error_message = "A Lambda must use the existing bucket and database."
  }
  assert {
    condition     = length(data.aws_rds_cluster.main) + length(data.aws_subnets.private) + length(data.aws_security_group.group) == 0
    error_message = "Nothing of the skipped stacks may be looked up."
  }
}

run "proxy" {
  variables {
    environment = "large"
  }
  assert {
    condition     = aws_lambda_function.function["worker"].environment[0].variables["DB_HOST"] == "proxy.example" && aws_lambda_function.function["worker"].environment[0].variables["DB_CA"] == "/etc/pki/tls/certs/ca-bundle.crt"
    error_message = "Functions must connect to the proxy, whose certificate is of a public CA."
  }
}
