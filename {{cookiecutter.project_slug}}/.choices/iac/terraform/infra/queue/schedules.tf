# Schedules, which send a message to the queues of the functions with `trigger: schedule`.
resource "aws_scheduler_schedule" "queue" {
  #checkov:skip=CKV_AWS_297:the message holds no secret; encrypted with AWS's own key
  for_each                     = { for name, each in local.functions : name => each if each.trigger == "schedule" }
  name                         = "${local.prefix}-${each.key}"
  description                  = "When ${each.key} runs"
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = each.value.timezone
  state                        = each.value.schedule_state
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_sqs_queue.pending[each.key].arn
    role_arn = "${local.roles_arn}/${local.prefix}-scheduler"
    # not jsonencode, which would escape the < and > of the scheduler's variable
    input = "{\"schedule\": \"${each.key}\", \"time\": \"<aws.scheduler.scheduled-time>\"}"
  }
}
