mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "local" {
  variables {
    environment = "local"
  }
  assert {
    condition     = endswith(aws_lambda_layer_version.packages.filename, "/layer/local.zip") && aws_lambda_layer_version.packages.compatible_runtimes == toset(["python3.13"])
    error_message = "The shim must get the layer that was built for it."
  }
  assert {
    condition     = aws_lambda_layer_version.packages.skip_destroy && aws_lambda_layer_version.packages.source_code_hash == "placeholder"
    error_message = "Old versions must stay for a rollback, and a new one must come only with new packages."
  }
}
