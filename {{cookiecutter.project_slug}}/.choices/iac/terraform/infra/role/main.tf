# Roles of the functions. All of a function's are there whatever runs it, so that it can
# move between Lambda and containers without waiting for IAM.
locals {
  lambda_logs = { for name in local.names : name => "${local.logs_arn}:/aws/lambda/${local.prefix}-${name}:*" }
  task_logs   = { for name in local.names : name => "${local.logs_arn}:/ecs/${local.prefix}-${name}:*" }

  # What a function does, wherever it runs.
  work = {
    for name in local.names : name => [
      {
        Sid    = "TakeMessages"
        Effect = "Allow"
        Action = [
          "sqs:ChangeMessageVisibility",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
          "sqs:GetQueueUrl",
          "sqs:ReceiveMessage",
        ]
        Resource = "${local.queues_arn}:${local.pending[name]}"
      },
      {
        Sid      = "ReadObjects"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = "${local.bucket_arn}/${name}/*"
      },
      {
        # else an object that is gone would be one that is forbidden
        Sid      = "SeeWhatIsGone"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = local.bucket_arn
      },
    ]
  }
}

resource "aws_iam_role" "execution" {
  for_each              = local.functions
  name                  = "${local.prefix}-${each.key}-execution"
  description           = "What the Lambda ${each.key} may do"
  assume_role_policy    = jsonencode(local.trust_lambda)
  force_detach_policies = true # the target aurora gives it one more
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.functions
  name     = "work"
  role     = aws_iam_role.execution[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.work[each.key], [
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = local.lambda_logs[each.key]
      },
      {
        # X-Ray has no resources to name; those of the network are not known yet
        Sid    = "TraceAndJoinTheNetwork"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:UnassignPrivateIpAddresses",
          "xray:PutTelemetryRecords",
          "xray:PutTraceSegments",
        ]
        Resource = "*"
      },
      {
        # Lambda itself joins the network; the code in it need not
        Sid      = "OnlyLambdaJoinsTheNetwork"
        Effect   = "Deny"
        Action   = ["ec2:*"]
        Resource = "*"
        Condition = {
          ArnEquals = {
            "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${local.prefix}-${each.key}"
          }
        }
      },
    ])
  })
}

resource "aws_iam_role" "task" {
  for_each              = local.functions
  name                  = "${local.prefix}-${each.key}-task"
  description           = "What the container ${each.key} may do"
  assume_role_policy    = jsonencode(local.trust_tasks)
  force_detach_policies = true # the target aurora gives it one more
}

resource "aws_iam_role_policy" "task" {
  for_each = local.functions
  name     = "work"
  role     = aws_iam_role.task[each.key].id
  policy   = jsonencode({ Version = "2012-10-17", Statement = local.work[each.key] })
}

resource "aws_iam_role" "start" {
  for_each           = local.functions
  name               = "${local.prefix}-${each.key}-start"
  description        = "What ECS may do to start the container ${each.key}"
  assume_role_policy = jsonencode(local.trust_tasks)
}

resource "aws_iam_role_policy" "start" {
  for_each = local.functions
  name     = "start"
  role     = aws_iam_role.start[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "PullTheImage"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:GetDownloadUrlForLayer",
        ]
        Resource = "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/${local.prefix}-${each.key}"
      },
      {
        # it has no resource to name
        Sid      = "EnterTheRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = local.task_logs[each.key]
      },
    ]
  })
}
