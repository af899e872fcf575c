mock_provider "aws" {
  source = "../../../../infra/tests"
}

variables {
  environment = "small"
  database    = "postgres"
}

run "images" {
  variables {
    environment = "large"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.function : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push])
    error_message = "Images must be scanned and immutable."
  }
  assert {
    condition = alltrue([
      for each in aws_ecr_lifecycle_policy.function :
      [for rule in jsondecode(each.policy).rules : [rule.selection.tagStatus, rule.selection.countNumber]] == [["tagged", 30], ["untagged", 7]]
    ])
    error_message = "Images with tags must not expire because of others."
  }
  assert {
    condition     = toset(keys(output.images)) == local.names
    error_message = "Each container must have an image."
  }
}

run "no_images" {
  assert {
    condition     = length(output.images) == 0
    error_message = "A Lambda must have no image."
  }
}
