# Lets the roles of functions that use the database, which the stack role creates, read the password.
resource "aws_iam_role_policy" "secret" {
  for_each = toset(flatten([
    for name, each in local.functions : ["${local.prefix}-${name}-execution", "${local.prefix}-${name}-task"] if each.database
  ]))
  name = "secret"
  role = each.key
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadPassword"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = aws_rds_cluster.main.master_user_secret[0].secret_arn
    }]
  })
}
