# The layer with the functions' packages, from `make build TARGET=layer`.
locals {
  zip = "${local.build}/layer/${local.is_local ? "local" : "aws"}.zip"
}

resource "aws_lambda_layer_version" "packages" {
  layer_name               = local.prefix
  description              = "src/common/requirements-layer.txt"
  filename                 = local.zip
  source_code_hash         = filebase64sha256(local.zip)
  compatible_runtimes      = ["python${local.spec.python}"]
  compatible_architectures = [local.spec.architecture]

  lifecycle {
    create_before_destroy = true # functions use the old version until they are deployed
  }
}
