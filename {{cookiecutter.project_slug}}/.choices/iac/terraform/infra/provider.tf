# The provider of each stack, linked beside its own files as common.tf is.
provider "aws" {
  default_tags {
    tags = { project = local.project, environment = var.environment, deployment = local.prefix }
  }
  ignore_tags {
    keys = ["rolled_back"] # of task definitions, see tools/services.py
  }
  max_retries                 = local.is_local ? 3 : null # retrying does not help if the shim lacks a service
  s3_use_path_style           = local.is_local
  skip_credentials_validation = local.is_local
  skip_metadata_api_check     = local.is_local
}
