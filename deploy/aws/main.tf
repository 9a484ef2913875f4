data "aws_availability_zones" "available" {
  state = "available"
}

# Debian's own images: https://wiki.debian.org/Cloud/AmazonEC2Image
data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"]

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

locals {
  names = [for i in range(var.members) : "${var.prefix}${i}"]

  # Of every member, but for its name. Nothing in it is secret: the private key is made on the first boot.
  boot = replace(replace(replace(replace(replace(
    file("${path.module}/../cloud-init/user-data.yaml"),
    "@PACKAGE@", var.package),
    "@PACKAGE_SHA256@", var.package_sha256),
    "@INVENTORY@", var.inventory),
    "@WAIT_FOR@", ""),
  "@OPERATOR_KEY@", var.operator_key)

  user_data = { for name in local.names : name => replace(local.boot, "@NAME@", name) }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  tags                 = { Name = "hipd-${var.prefix}" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "hipd-${var.prefix}" }
}

resource "aws_subnet" "this" {
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(var.cidr, 8, 0)
  availability_zone = data.aws_availability_zones.available.names[0]
  tags              = { Name = "hipd-${var.prefix}" }
}

resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "hipd-${var.prefix}" }

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table_association" "this" {
  subnet_id      = aws_subnet.this.id
  route_table_id = aws_route_table.this.id
}

resource "aws_security_group" "this" {
  name        = "hipd-${var.prefix}"
  description = "hipd, ICMP, and ssh for those who run it"
  vpc_id      = aws_vpc.this.id

  # HIP and ESP in UDP from anywhere: hipd answers configured peers only.
  ingress {
    description = "HIP and ESP over UDP"
    protocol    = "udp"
    from_port   = 10500
    to_port     = 10500
    cidr_blocks = ["0.0.0.0/0"]
  }

  # So that path MTUs are told.
  ingress {
    description = "ICMP"
    protocol    = "icmp"
    from_port   = -1
    to_port     = -1
    cidr_blocks = ["0.0.0.0/0"]
  }

  ingress {
    description = "ssh"
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
    cidr_blocks = [var.admin_cidr]
  }

  egress {
    description = "everything"
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_instance" "member" {
  for_each = local.user_data

  ami                         = data.aws_ami.debian.id
  instance_type               = var.instance_type
  subnet_id                   = aws_subnet.this.id
  vpc_security_group_ids      = [aws_security_group.this.id]
  key_name                    = var.key_name
  user_data                   = each.value
  user_data_replace_on_change = false
  tags                        = { Name = each.key }

  # IMDSv2 only, and not for containers behind a further hop.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted = true
  }

  # A newer image must not replace a member, whose identity is on its disk.
  lifecycle {
    ignore_changes = [ami, user_data]
  }
}

# hipd learns this address from the metadata service and tells its peers.
resource "aws_eip" "member" {
  for_each = aws_instance.member

  domain   = "vpc"
  instance = each.value.id
  tags     = { Name = each.key }
}
