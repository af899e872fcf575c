# A Lambda for each function; queues feed those whose runtime is lambda.
resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:logs hold neither row values nor secrets; encrypted with CloudWatch's own key
  #checkov:skip=CKV_AWS_338:config/deploy.yml sets the retention
  for_each          = local.functions
  name              = "/aws/lambda/${local.prefix}-${each.key}"
  retention_in_days = each.value.log_days
}

resource "aws_lambda_function" "function" {
  #checkov:skip=CKV_AWS_115:config/deploy.yml can reserve concurrency; the mapping limits it
  #checkov:skip=CKV_AWS_116:failed messages go back to the queue, which has a dead-letter queue
  #checkov:skip=CKV_AWS_117:it is in the VPC, except in the emulator, which has none
  #checkov:skip=CKV_AWS_173:the environment holds names of secrets, and no secret
  #checkov:skip=CKV_AWS_272:the machine that builds the zip deploys it
  for_each                       = local.functions
  function_name                  = "${local.prefix}-${each.key}"
  description                    = "src/func/${each.key}.py"
  role                           = "${local.roles_arn}/${local.prefix}-${each.key}-execution"
  runtime                        = "python${local.spec.python}"
  architectures                  = [local.spec.architecture]
  handler                        = "lambda_wrapper.handler"
  filename                       = "${local.build}/lambda/${each.key}.zip"
  source_code_hash               = lookup(var.synced, each.key, filebase64sha256("${local.build}/lambda/${each.key}.zip"))
  layers                         = [data.aws_lambda_layer_version.packages.arn]
  memory_size                    = each.value.memory
  timeout                        = each.value.timeout
  reserved_concurrent_executions = each.value.reserved_concurrency
  depends_on                     = [aws_cloudwatch_log_group.function]

  environment {
    variables = merge(each.value.variables, each.value.database ? local.database : {})
  }
  tracing_config {
    mode = "Active"
  }
  dynamic "vpc_config" {
    for_each = local.is_local ? [] : [local.subnets]
    content {
      security_group_ids = local.groups[each.key]
      subnet_ids         = vpc_config.value
    }
  }
}

resource "aws_lambda_alias" "live" {
  for_each         = local.functions
  name             = "live"
  function_name    = aws_lambda_function.function[each.key].function_name
  function_version = "$LATEST"
  lifecycle {
    ignore_changes = [function_version, routing_config, description] # tools/releases.py sets them
  }
}

resource "aws_lambda_function_event_invoke_config" "function" {
  for_each                     = local.functions
  function_name                = aws_lambda_function.function[each.key].function_name
  maximum_retry_attempts       = 0 # only the queue retries, by its redrive policy
  maximum_event_age_in_seconds = 21600
}

resource "aws_lambda_event_source_mapping" "pending" {
  for_each                           = { for name, each in local.functions : name => each if each.runtime == "lambda" || contains(var.still_mapped, name) }
  function_name                      = aws_lambda_alias.live[each.key].arn
  event_source_arn                   = "${local.queues_arn}:${each.value.queue}"
  batch_size                         = each.value.batch_size
  maximum_batching_window_in_seconds = each.value.batch_window
  function_response_types            = ["ReportBatchItemFailures"]
  dynamic "scaling_config" {
    for_each = can(each.value.provisioned_pollers) ? [] : [each.value.max_concurrency]
    content {
      maximum_concurrency = scaling_config.value
    }
  }
  dynamic "provisioned_poller_config" {
    for_each = try([each.value.provisioned_pollers], [])
    content {
      minimum_pollers = provisioned_poller_config.value.min
      maximum_pollers = provisioned_poller_config.value.max
    }
  }
}
