mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "email" {
  assert {
    condition = alltrue([
      for name in local.names : alltrue([
        for suffix in ["errors", "throttles", "not-started"] : contains(keys(aws_cloudwatch_metric_alarm.all), "test-small-${name}-${suffix}")
      ])
    ])
    error_message = "Alarms must watch each Lambda."
  }
  assert {
    condition = [
      for name, alarm in aws_cloudwatch_metric_alarm.all : [name, alarm.period, alarm.evaluation_periods, alarm.datapoints_to_alarm] if alarm.metric_name == "failures"
    ] == [["test-small-part-failures", 60, 3, 2]]
    error_message = "An alarm must watch the failures of functions with a release, and fire within minutes."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.all : alarm.threshold == 3600 if alarm.metric_name == "ApproximateAgeOfOldestMessage"])
    error_message = "An alarm must watch the age of messages."
  }
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.all :
      alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:test-small-alarms"]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "All alarms must notify the project's topic."
  }
  assert {
    condition     = [for each in aws_sns_topic_subscription.email : [each.topic_arn, each.protocol, each.endpoint]] == [["arn:aws:sns:eu-west-1:123456789012:test-small-alarms", "email", "alarms@example.com"]]
    error_message = "The topic must send e-mail to the declared address."
  }
  assert {
    condition = [
      for each in jsondecode(aws_sns_topic_policy.alarms["test-small-alarms"].policy).Statement : each.Principal.Service if each.Effect == "Allow"
    ] == ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    error_message = "Only alarms and budgets may publish to the topic."
  }
  assert {
    condition = [
      for each in aws_budgets_budget.monthly : [each.name, each.limit_amount, one(each.cost_filter).values, { for each in each.notification : each.notification_type => each.threshold }]
    ] == [["test-small", "100", tolist(["user:deployment$test-small"]), { ACTUAL = 75, FORECASTED = 100 }]]
    error_message = "The budget must count the environment's costs."
  }
  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.main.dashboard_body, "eu-west-1") && length(jsondecode(aws_cloudwatch_dashboard.main.dashboard_body).widgets) > 10
    error_message = "The dashboard must be valid JSON."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.all["test-small-database-capacity"].threshold == 1.8 && aws_cloudwatch_metric_alarm.all["test-small-database-connections"].threshold == 320
    error_message = "Alarms must watch the database's capacity and connections."
  }
}

run "topic" {
  variables {
    environment = "large"
  }
  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && alltrue([for alarm in aws_cloudwatch_metric_alarm.all : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:alarms"])])
    error_message = "All alarms must notify the declared topic."
  }
  assert {
    condition     = [for name, alarm in aws_cloudwatch_metric_alarm.all : name if alarm.treat_missing_data == "breaching"] == [for name in sort(local.names) : "test-large-${name}-tasks"]
    error_message = "An alarm must watch the tasks of each container, and only there missing data is alarming."
  }
}

run "nobody" {
  variables {
    environment = "lean"
  }
  assert {
    condition     = length(aws_budgets_budget.monthly) == 0
    error_message = "Without a declared budget, there must be none."
  }
  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && alltrue([for alarm in aws_cloudwatch_metric_alarm.all : length(alarm.alarm_actions) == 0])
    error_message = "Without a recipient, there must be alarms without actions."
  }
}
