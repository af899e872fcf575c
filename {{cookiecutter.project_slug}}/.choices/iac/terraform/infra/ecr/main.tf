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
    rules = [
      {
        rulePriority = 1
        description  = "Keep the last thirty builds"
        selection    = { tagStatus = "tagged", tagPatternList = ["*"], countType = "imageCountMoreThan", countNumber = 30 }
        action       = { type = "expire" }
      },
      {
        # a build with provenance pushes such manifests, too; those of a tagged image stay
        rulePriority = 2
        description  = "Remove what has no tag"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
    ]
  })
}
