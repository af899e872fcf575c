mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
}

run "lambda" {
  assert {
    condition     = toset(keys(aws_lambda_event_source_mapping.pending)) == local.names
    error_message = "Queues feed the functions whose runtime is lambda."
  }
  assert {
    condition = alltrue([
      for mapping in aws_lambda_event_source_mapping.pending :
      mapping.function_response_types == toset(["ReportBatchItemFailures"]) && mapping.scaling_config[0].maximum_concurrency == 10
    ])
    error_message = "Batches fail in parts, and concurrency has a limit."
  }
  assert {
    condition     = alltrue([for config in aws_lambda_function_event_invoke_config.function : config.maximum_retry_attempts == 0])
    error_message = "Only the queue tries again."
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.function : function.architectures == tolist(["arm64"]) && function.memory_size == 512])
    error_message = "config/deploy.yml says the architecture and the memory."
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.function : toset(keys(function.environment[0].variables)) == toset(["DB_HOST", "DB_PORT", "DB_NAME", "DB_SECRET", "DB_CA"])])
    error_message = "The environment holds where the password is, never the password."
  }
}

run "container" {
  variables {
    environment = "large"
  }
  assert {
    condition     = length(aws_lambda_event_source_mapping.pending) == 0
    error_message = "No queue feeds the Lambda of a function that is a container."
  }
}

run "handover" {
  variables {
    environment  = "large"
    still_mapped = ["worker"]
  }
  assert {
    condition     = toset(keys(aws_lambda_event_source_mapping.pending)) == toset(setintersection(local.names, ["worker"]))
    error_message = "The Lambda goes on until the container runs."
  }
}
