mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "containers" {
  variables {
    environment = "large"
  }
  assert {
    condition     = toset(keys(aws_ecs_service.function)) == local.names
    error_message = "Each container must have a service."
  }
  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.function : alltrue([
        for container in jsondecode(task.container_definitions) :
        container.readonlyRootFilesystem && container.stopTimeout == 120 && !strcontains(join(" ", container.environment[*].name), "DB_PASS")
      ]) && task.memory == "1024"
    ])
    error_message = "A task must have a read-only root, 120 seconds to stop, and no password."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.function["part"].container_definitions)[0].image == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/test-large-part:placeholder-arm64"
    error_message = "The image's name must be known before there is a repository."
  }
  assert {
    condition = { for each in jsondecode(aws_ecs_task_definition.function["enrich"].container_definitions)[0].environment : each.name => each.value } == {
      API_KEY_SECRET = "partner/api-key"
      API_URL        = "https://large.example.com"
      AWS_REGION     = "eu-west-1"
      BUCKET         = "test-large-raw-123456789012"
      FUNCTION_NAME  = "test-large-enrich"
      GRACE          = "110"
      READ_QUEUE     = "test-large-enrich-pending"
    }
    error_message = "A task without the database must have its own variables only."
  }
  assert {
    condition     = length(aws_ecs_service.function["enrich"].network_configuration[0].security_groups) == 1 && toset(keys(data.aws_security_group.group)) == toset(["function", "internet", "sql"])
    error_message = "A service must be in the groups of what it declares."
  }
  assert {
    condition     = alltrue([for policy in aws_appautoscaling_policy.backlog : policy.target_tracking_scaling_policy_configuration[0].target_value == 100])
    error_message = "Tasks must scale with the backlog."
  }
}

run "rolled_back" {
  variables {
    environment = "large"
    kept        = { part = "arn:aws:ecs:eu-west-1:123456789012:task-definition/test-large-part:6" }
  }
  assert {
    condition     = aws_ecs_service.function["part"].task_definition == var.kept["part"] && aws_ecs_service.function["enrich"].task_definition == aws_ecs_task_definition.function["enrich"].arn
    error_message = "A service must keep its task definition if a newer one was rolled back."
  }
  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.function : task.skip_destroy])
    error_message = "A rollback needs the task definition before."
  }
}

run "lambdas" {
  assert {
    condition     = length(aws_ecs_service.function) == 0
    error_message = "A Lambda must have no service."
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_log_group.task)) == local.names
    error_message = "The logs must outlive a move to Lambda."
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
    condition = aws_ecs_service.function["nightly"].network_configuration[0].security_groups == toset(["sg-0123456789abcdef0"]) && {
      for each in jsondecode(aws_ecs_task_definition.function["nightly"].container_definitions)[0].environment : each.name => each.value
    }["DB_HOST"] == "db.example.internal"
    error_message = "A service must use the existing network and database."
  }
  assert {
    condition     = length(data.aws_rds_cluster.main) + length(data.aws_subnets.private) + length(data.aws_security_group.group) == 0
    error_message = "Nothing of the skipped stacks may be looked up."
  }
}
