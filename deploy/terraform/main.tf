# A stack of sluice as a Terraform resource: the template of a release, and the code beside it, both
# uploaded before: aws s3 sync dist/stack s3://BUCKET/PREFIX
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_s3_bucket" "code" {
  bucket = var.code_bucket
}

resource "aws_cloudformation_stack" "sluice" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.code.bucket_regional_domain_name}/${var.code_prefix}sluice-${var.release}.template.json"
  capabilities = ["CAPABILITY_IAM"]

  parameters = merge(var.parameters, {
    CodeBucket = var.code_bucket
    CodePrefix = var.code_prefix
  })

  tags = var.tags

  timeouts {
    create = "30m"
    update = "30m"
    delete = "30m"
  }
}
