# Variables and names that all stacks share. tools/iac.py links this file beside each stack's
# own, in .build/terraform/<environment>/<stack>/, sets the variables, and writes what
# config/deploy.yml says to .build/terraform/<environment>/<environment>.json.
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
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
  root  = "../../../.."
  build = "${local.root}/${local.spec.build}"

  # What config/deploy.yml says about the environment, as tools/function_specs.py derives it.
  text    = file("../${var.environment}.json")
  project = jsondecode(local.text).project # the provider needs it before it knows the account
  spec = jsondecode(replace(replace(replace(local.text,
    "{partition}", local.partition), "{region}", local.region), "{account}", local.account)
  )
  settings   = local.spec.settings
  network    = local.spec.network # an existing one, or null
  functions  = local.spec.functions
  names      = toset(keys(local.functions))
  containers = { for name, each in local.functions : name => each if each.runtime == "container" }
  is_local   = var.environment == "local"

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # Stacks find each other's resources by name, so that none reads another's state.
  prefix     = "${local.project}-${var.environment}"
  bucket_arn = "arn:${local.partition}:s3:::${local.spec.bucket}"
  queues_arn = "arn:${local.partition}:sqs:${local.region}:${local.account}"
  roles_arn  = "arn:${local.partition}:iam::${local.account}:role"
  registry   = "${local.account}.dkr.ecr.${local.region}.${data.aws_partition.current.dns_suffix}"
  logs_arn   = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group"

  # The permissions boundary of all roles, which `make bootstrap` creates; the emulator has none.
  boundary_arn = local.is_local ? null : "arn:${local.partition}:iam::${local.account}:policy/${local.prefix}-boundary"
}
