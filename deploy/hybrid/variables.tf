variable "aws_region" {
  type    = string
  default = "eu-central-1"
}

variable "aws_members" {
  type    = number
  default = 1
}

variable "openstack_cloud" {
  description = "Name in clouds.yaml."
  type        = string
}

variable "openstack_members" {
  type    = number
  default = 1
}

variable "openstack_image" {
  description = "Debian 12 or later, with cloud-init."
  type        = string
  default     = "debian-12"
}

variable "openstack_flavor" {
  type    = string
  default = "m1.small"
}

variable "external_network" {
  description = "Where floating IPs come from."
  type        = string
  default     = "public"
}

variable "admin_cidr" {
  description = "Who may use ssh, in both clouds."
  type        = string
}

variable "key_name" {
  description = "Key pair for ssh, which has this name in both clouds."
  type        = string
}

variable "package" {
  description = "URL of the Debian package; empty where the images have hipd."
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
