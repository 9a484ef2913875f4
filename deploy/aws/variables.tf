variable "prefix" {
  description = "Members are called PREFIX0, PREFIX1, ..."
  type        = string
  default     = "aws"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]*[a-z0-9])?$", var.prefix))
    error_message = "Lower-case letters, digits and hyphens."
  }
}

variable "members" {
  description = "How many instances."
  type        = number
  default     = 1
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "cidr" {
  description = "Of the VPC. It may be the same as elsewhere: members meet at their elastic IPs."
  type        = string
  default     = "10.30.0.0/16"
}

variable "admin_cidr" {
  description = "Who may use ssh."
  type        = string
}

variable "key_name" {
  description = "EC2 key pair for ssh by those who run the fleet."
  type        = string
}

variable "package" {
  description = "URL of the Debian package; empty where the image has hipd."
  type        = string
  default     = ""
}

variable "package_sha256" {
  description = "SHA-256 of the package in hex."
  type        = string
  default     = ""
}

variable "operator_key" {
  description = "The operator's public key, from `hipctl identity export`."
  type        = string
  default     = ""
}

variable "inventory" {
  description = "URL of a signed inventory; empty for none yet."
  type        = string
  default     = ""
}
