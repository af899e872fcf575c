mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "policies" {
  assert {
    condition = alltrue([
      for policy in concat(values(aws_iam_role_policy.execution), values(aws_iam_role_policy.task), values(aws_iam_role_policy.start)) :
      !anytrue([for statement in jsondecode(policy.policy).Statement : statement.Effect == "Allow" && anytrue([for action in statement.Action : strcontains(action, "*")])])
    ])
    error_message = "Allowed actions must have no wildcard."
  }
  assert {
    condition = {
      for name, policy in aws_iam_role_policy.task : name => {
        for statement in jsondecode(policy.policy).Statement : statement.Sid => one(statement.Resource)
      }
      } == {
      worker = {
        ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-worker-pending"
        ReadObjects     = "arn:aws:s3:::test-small-raw-123456789012/worker/*"
        ListBucket      = "arn:aws:s3:::test-small-raw-123456789012"
        ReadPassword    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-small-app-??????"
      }
      fanout = {
        ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-fanout-pending"
        ReadObjects     = "arn:aws:s3:::test-small-raw-123456789012/incoming/*.csv"
        ListBucket      = "arn:aws:s3:::test-small-raw-123456789012"
        SendMessages    = "arn:aws:sqs:eu-west-1:123456789012:test-small-part-pending"
      }
      part = { ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-part-pending", ReadPassword = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-small-app-??????" }
      enrich = {
        ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-enrich-pending"
        ReadObjects     = "arn:aws:s3:::test-small-raw-123456789012/incoming/*"
        ListBucket      = "arn:aws:s3:::test-small-raw-123456789012"
        WriteObjects    = "arn:aws:s3:::test-small-raw-123456789012/enriched/*"
        ReadSecrets     = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:partner/api-key-??????"
        Allow1          = "arn:aws:dynamodb:eu-west-1:123456789012:table/test-small-seen"
      }
      nightly = { ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-nightly-pending", ReadPassword = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-small-app-??????" }
      orders  = { ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-orders-pending.fifo", ReadPassword = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-small-app-??????" }
      prices  = { ReceiveMessages = "arn:aws:sqs:eu-west-1:123456789012:test-small-prices-pending", ReadPassword = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-small-app-??????" }
    }
    error_message = "A function may do what it declares, and nothing else."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.scheduler[0].policy).Statement[0].Resource == ["arn:aws:sqs:eu-west-1:123456789012:test-small-nightly-pending"]
    error_message = "The scheduler may send to the queues of scheduled functions only."
  }
  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.release[0].policy).Statement : one(statement.Resource) => statement.Action
      } == {
      "arn:aws:lambda:eu-west-1:123456789012:function:test-small-part"      = ["lambda:GetAlias", "lambda:UpdateAlias"]
      "arn:aws:lambda:eu-west-1:123456789012:function:test-small-part:live" = ["lambda:GetProvisionedConcurrencyConfig"]
      "*"                                                                   = ["cloudwatch:DescribeAlarms"]
    }
    error_message = "CodeDeploy may only shift the aliases of functions with a release, and read alarms."
  }
  assert {
    condition = alltrue([
      for role in concat(values(aws_iam_role.execution), values(aws_iam_role.task), values(aws_iam_role.start), aws_iam_role.scheduler, aws_iam_role.release) :
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/test-small-boundary"
    ])
    error_message = "Each role must have the environment's permissions boundary."
  }
}

run "no_schedule" {
  variables {
    environment = "lean"
  }
  assert {
    condition     = length(aws_iam_role.scheduler) == 0
    error_message = "Without a schedule, there must be no role for schedules."
  }
}

run "existing_database" {
  variables {
    environment = "existing"
  }
  assert {
    condition = {
      for name, policy in aws_iam_role_policy.task : name => [
        for statement in jsondecode(policy.policy).Statement : one(statement.Resource) if statement.Sid == "ReadPassword"
      ]
      } == {
      for name in local.names : name => [
        for secret in ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/database-??????"] : secret if !contains(["fanout", "enrich"], name)
      ]
    }
    error_message = "Functions that use an existing database must be able to read its secret, and no others."
  }
}

run "proxy" {
  variables {
    environment = "large"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.proxy[0].policy).Statement[0].Resource == ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:test-large-app-??????"]
    error_message = "The proxy may only read the secret of the functions' user."
  }
}

run "local" {
  variables {
    environment = "local"
  }
  assert {
    condition     = alltrue([for role in aws_iam_role.execution : role.permissions_boundary == null])
    error_message = "The emulator has no permissions boundary."
  }
  assert {
    condition     = length(aws_iam_role.release) == 0
    error_message = "The emulator has no CodeDeploy, and needs no role for it."
  }
}
