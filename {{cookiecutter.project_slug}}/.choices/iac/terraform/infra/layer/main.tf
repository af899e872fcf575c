# The layer with the functions' packages, from `make build TARGET=layer`.
locals {
  built = "${local.build}/layer/${local.is_local ? "local" : "aws"}"
}

resource "aws_lambda_layer_version" "packages" {
  layer_name               = local.prefix
  description              = "src/common/requirements-layer.txt"
  filename                 = "${local.built}.zip"
  source_code_hash         = file("${local.built}.tag") # of what the zip is made of
  compatible_runtimes      = ["python${local.spec.python}"]
  compatible_architectures = [local.spec.architecture]
  skip_destroy             = true # a rollback needs it; tools/layers.py deletes old ones

  lifecycle {
    create_before_destroy = true # functions use the old version until they are deployed
  }
}
