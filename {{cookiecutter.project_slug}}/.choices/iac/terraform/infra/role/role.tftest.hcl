mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  project     = "test"
  environment = "small"
  database    = "postgres"
  config      = "infra/tests/deploy.yml"
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
    condition = alltrue([
      for name, policy in aws_iam_role_policy.task : [
        for statement in jsondecode(policy.policy).Statement : statement.Resource
        ] == [
        "arn:aws:sqs:eu-west-1:123456789012:test-small-${name}-pending",
        "arn:aws:s3:::test-small-raw-123456789012/${name}/*",
        "arn:aws:s3:::test-small-raw-123456789012",
      ]
    ])
    error_message = "A function may use its own queue and its own objects only."
  }
  assert {
    condition     = alltrue([for role in concat(values(aws_iam_role.execution), values(aws_iam_role.task)) : role.force_detach_policies])
    error_message = "A role must be deletable although the stack aurora attached a policy."
  }
}
