# Provider, variables and names that all stacks share. tools/iac.py links this file beside
# each stack's own, in .build/terraform/<environment>/<stack>/, and sets the variables.
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

provider "aws" {
  default_tags {
    tags = { project = var.project, environment = var.environment }
  }
  max_retries                 = local.is_local ? 3 : null # retrying does not help if the shim lacks a service
  s3_use_path_style           = local.is_local
  skip_credentials_validation = local.is_local
  skip_metadata_api_check     = local.is_local
}

variable "project" {
  type        = string
  description = "First part of all names."
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.project))
    error_message = "The project's name must have 2 to 24 characters of a-z, 0-9 and hyphens, beginning with a letter."
  }
}

variable "environment" {
  type        = string
  description = "Second part of all names, and a key of config/deploy.yml."
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,7}$", var.environment))
    error_message = "The environment's name must have 1 to 8 characters of a-z and 0-9, beginning with a letter."
  }
}

variable "config" {
  type        = string
  description = "Path of the configuration below the project's root."
  default     = "config/deploy.yml"
  validation {
    condition     = endswith(var.config, ".yml")
    error_message = "The configuration must be a .yml file."
  }
}

variable "database" {
  type        = string
  description = "mysql or postgres."
  validation {
    condition     = contains(["mysql", "postgres"], var.database)
    error_message = "The database must be mysql or postgres."
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  root     = "../../../.."
  config   = yamldecode(file("${local.root}/${var.config}"))
  settings = local.config.environments[var.environment]
  is_local = var.environment == "local"

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # Stacks find each other's resources by name, so that none reads another's state.
  prefix      = "${var.project}-${var.environment}"
  bucket      = "${local.prefix}-raw-${local.account}"
  bucket_arn  = "arn:${local.partition}:s3:::${local.bucket}"
  queues_arn  = "arn:${local.partition}:sqs:${local.region}:${local.account}"
  roles_arn   = "arn:${local.partition}:iam::${local.account}:role"
  logs_arn    = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group"
  pending     = { for name in local.names : name => "${local.prefix}-${name}-pending" }
  dead_letter = { for name in local.names : name => "${local.prefix}-${name}-dead-letter" }

  # Each file of src/func/ is a function.
  names = toset([
    for file in fileset("${local.root}/src/func", "*.py") : trimsuffix(file, ".py")
    if !startswith(file, "_")
  ])
  functions = {
    for name in local.names : name => merge(
      local.config.defaults,
      try(local.settings.defaults, null),
      try(local.config.functions[name], null),
      try(local.settings.functions[name], null),
    )
  }
  containers = { for name, each in local.functions : name => each if each.runtime == "container" }
}
