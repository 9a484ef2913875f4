terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
    }
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = ">= 1.53, < 4.0"
    }
  }
}

# Credentials come from the environment: AWS_PROFILE, and OS_CLOUD of clouds.yaml.
provider "aws" {
  region = var.aws_region
}

provider "openstack" {
  cloud = var.openstack_cloud
}
