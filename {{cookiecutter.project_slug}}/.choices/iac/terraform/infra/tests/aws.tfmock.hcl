# Mocked answers of AWS for `terraform test`.
mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}
mock_data "aws_region" {
  defaults = { id = "eu-west-1" }
}
mock_data "aws_availability_zones" {
  defaults = { names = [for letter in ["a", "b", "c", "d", "e", "f"] : "eu-west-1${letter}"] }
}
mock_data "aws_lambda_layer_version" {
  defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:layer:test:1" }
}
mock_data "aws_security_group" {
  defaults = { id = "sg-1" }
}
mock_data "aws_prefix_list" {
  defaults = { id = "pl-1" }
}
mock_data "aws_subnets" {
  defaults = { ids = ["subnet-1", "subnet-2"] }
}
mock_data "aws_rds_cluster" {
  defaults = {
    endpoint           = "main.example"
    port               = 5432
    database_name      = "main"
    master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:main" }]
  }
}
mock_data "aws_db_proxy" {
  defaults = { endpoint = "proxy.example" }
}
mock_resource "aws_secretsmanager_secret" {
  defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app" }
}
mock_resource "aws_rds_cluster" {
  defaults = {
    id                 = "cluster" # a random one may begin with a digit
    arn                = "arn:aws:rds:eu-west-1:123456789012:cluster:main"
    master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:main" }]
  }
}
mock_resource "aws_db_proxy_default_target_group" {
  defaults = { name = "default" }
}
mock_resource "aws_sqs_queue" {
  defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:queue" }
}
mock_resource "aws_lambda_function" {
  defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:worker" }
}
mock_resource "aws_lambda_alias" {
  defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:worker:live" }
}
mock_resource "aws_lambda_layer_version" {
  defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:layer:test:1" }
}
mock_resource "aws_ecr_repository" {
  defaults = { repository_url = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/test" }
}
mock_resource "aws_ecs_cluster" {
  defaults = { id = "arn:aws:ecs:eu-west-1:123456789012:cluster/test" }
}
mock_resource "aws_ecs_task_definition" {
  defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/test:1" }
}
