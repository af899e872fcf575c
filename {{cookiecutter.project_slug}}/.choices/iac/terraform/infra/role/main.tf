# IAM roles of the functions. Each function has the roles of a Lambda and of a container, so
# that it can move between the two without waiting for IAM.
locals {
  lambda_logs = { for name in local.names : name => "${local.logs_arn}:/aws/lambda/${local.prefix}-${name}:*" }
  task_logs   = { for name in local.names : name => "${local.logs_arn}:/ecs/${local.prefix}-${name}:*" }
}

resource "aws_iam_role" "execution" {
  for_each             = local.functions
  name                 = "${local.prefix}-${each.key}-execution"
  description          = "Execution role of the Lambda ${each.key}"
  assume_role_policy   = jsonencode(local.trust_lambda)
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.functions
  name     = "work"
  role     = aws_iam_role.execution[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(each.value.statements, [
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = local.lambda_logs[each.key]
      },
      {
        # these actions support no resources
        Sid    = "TraceAndAttachToVpc"
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
        # Lambda itself attaches the function to the VPC; its code needs no EC2
        Sid      = "DenyEc2ToCode"
        Effect   = "Deny"
        Action   = ["ec2:*"]
        Resource = "*"
        Condition = {
          ArnEquals = {
            "lambda:SourceFunctionArn" = [ # with and without a version
              "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${local.prefix}-${each.key}",
              "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${local.prefix}-${each.key}:*",
            ]
          }
        }
      },
    ])
  })
}

resource "aws_iam_role" "task" {
  for_each             = local.functions
  name                 = "${local.prefix}-${each.key}-task"
  description          = "Task role of the container ${each.key}"
  assume_role_policy   = jsonencode(local.trust_tasks)
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "task" {
  for_each = local.functions
  name     = "work"
  role     = aws_iam_role.task[each.key].id
  policy   = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
}

resource "aws_iam_role" "start" {
  for_each             = local.functions
  name                 = "${local.prefix}-${each.key}-start"
  description          = "Task execution role of the container ${each.key}"
  assume_role_policy   = jsonencode(local.trust_tasks)
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "start" {
  for_each = local.functions
  name     = "start"
  role     = aws_iam_role.start[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "PullImage"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:GetDownloadUrlForLayer",
        ]
        Resource = "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/${local.prefix}-${each.key}"
      },
      {
        # this action supports no resources
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = local.task_logs[each.key]
      },
    ]
  })
}

resource "aws_iam_role" "scheduler" {
  count                = length(local.spec.schedule_statements)
  name                 = "${local.prefix}-scheduler"
  description          = "Role of the schedules"
  assume_role_policy   = jsonencode(local.trust_scheduler)
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "scheduler" {
  count  = length(local.spec.schedule_statements)
  name   = "send"
  role   = aws_iam_role.scheduler[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.spec.schedule_statements })
}

resource "aws_iam_role" "release" {
  count                = length(local.spec.release_statements) > 0 ? 1 : 0
  name                 = "${local.prefix}-release"
  description          = "Role of CodeDeploy, which shifts batches to new versions"
  assume_role_policy   = jsonencode(local.trust_codedeploy)
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "release" {
  count  = length(local.spec.release_statements) > 0 ? 1 : 0
  name   = "shift"
  role   = aws_iam_role.release[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.spec.release_statements })
}

resource "aws_iam_role" "proxy" {
  count                = local.spec.has_proxy ? 1 : 0
  name                 = "${local.prefix}-proxy"
  description          = "Role of the database's proxy"
  assume_role_policy   = jsonencode(local.trust_proxy)
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "proxy" {
  count  = local.spec.has_proxy ? 1 : 0
  name   = "read"
  role   = aws_iam_role.proxy[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = [local.spec.proxy_statement] })
}
