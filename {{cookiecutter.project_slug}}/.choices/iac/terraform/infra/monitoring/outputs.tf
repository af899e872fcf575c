output "alarms" {
  description = "Names of the alarms."
  value       = keys(aws_cloudwatch_metric_alarm.all)
}
