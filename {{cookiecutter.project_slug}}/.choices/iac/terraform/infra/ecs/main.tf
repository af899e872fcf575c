# A Fargate service for each function whose runtime is container.
resource "aws_ecs_cluster" "main" {
  name = local.prefix
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

# For Lambdas, too: the logs of a container outlive its move to Lambda.
resource "aws_cloudwatch_log_group" "task" {
  #checkov:skip=CKV_AWS_158:logs hold neither row values nor secrets; encrypted with CloudWatch's own key
  #checkov:skip=CKV_AWS_338:config/deploy.yml sets the retention
  for_each          = local.functions
  name              = "/ecs/${local.prefix}-${each.key}"
  retention_in_days = each.value.log_days
}

resource "aws_ecs_task_definition" "function" {
  for_each                 = local.containers
  family                   = "${local.prefix}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  task_role_arn            = "${local.roles_arn}/${local.prefix}-${each.key}-task"
  execution_role_arn       = "${local.roles_arn}/${local.prefix}-${each.key}-start"
  skip_destroy             = true # 'make rollback' needs it; tools/services.py deregisters old ones
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(local.spec.architecture)
  }
  container_definitions = jsonencode([{
    name                   = each.key
    image                  = "${local.registry}/${local.prefix}-${each.key}:${file("${local.build}/local/${each.key}.tag")}-${local.spec.architecture}"
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 120 # seconds; the maximum on Fargate
    environment = [
      for name, value in merge(each.value.variables, each.value.database ? local.database : {}, {
        READ_QUEUE    = each.value.queue
        FUNCTION_NAME = "${local.prefix}-${each.key}" # in metrics
        AWS_REGION    = local.region
        GRACE         = "110" # seconds; leaves time for a last request before stopTimeout
      }) : { name = name, value = value }
    ]
    healthCheck = { # ECS ignores the image's own
      command     = ["CMD-SHELL", "test -n \"$(find $HEARTBEAT -newermt '-30 seconds')\""]
      interval    = 10
      timeout     = 5
      retries     = 2
      startPeriod = 10
    }
    linuxParameters = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.task[each.key].name
        awslogs-region        = local.region
        awslogs-stream-prefix = "task"
      }
    }
  }])
}

locals {
  revisions = { for name, task in aws_ecs_task_definition.function : name => lookup(var.kept, name, task.arn) }
}

resource "aws_ecs_service" "function" {
  for_each               = local.containers
  name                   = each.key
  cluster                = aws_ecs_cluster.main.id
  task_definition        = local.revisions[each.key]
  launch_type            = "FARGATE"
  desired_count          = each.value.min_tasks
  enable_execute_command = false
  propagate_tags         = "SERVICE" # tasks cost money, and a budget counts by tag
  wait_for_steady_state  = true      # so that deploy fails if the tasks do not run
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = local.subnets
    security_groups  = local.groups[each.key]
    assign_public_ip = false
  }
  lifecycle {
    ignore_changes = [desired_count] # autoscaling sets it
    postcondition {                  # a service that was rolled back is steady, too
      condition     = self.task_definition == local.revisions[each.key]
      error_message = "The new tasks of ${each.key} did not run, and ECS rolled back to the old ones: see the service's events and /ecs/${local.prefix}-${each.key}."
    }
  }
}
