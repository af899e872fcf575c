# A repository for each function's images, empty while the function is a Lambda.
resource "aws_ecr_repository" "function" {
  #checkov:skip=CKV_AWS_136:encrypted with ECR's own key
  for_each             = local.functions
  name                 = "${local.prefix}-${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # the images can be built again
  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "function" {
  for_each   = local.functions
  repository = aws_ecr_repository.function[each.key].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the last ten"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}
