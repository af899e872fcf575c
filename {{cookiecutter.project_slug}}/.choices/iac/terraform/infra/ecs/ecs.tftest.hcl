mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
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
    condition     = alltrue([for policy in aws_appautoscaling_policy.backlog : policy.target_tracking_scaling_policy_configuration[0].target_value == 100])
    error_message = "Tasks must scale with the backlog."
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
