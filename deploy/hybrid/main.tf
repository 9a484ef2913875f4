# One fleet in two clouds: instances on AWS and servers on OpenStack, which reach each other by elastic and floating IPs.

module "aws" {
  source = "../aws"

  prefix         = "aws"
  members        = var.aws_members
  admin_cidr     = var.admin_cidr
  key_name       = var.key_name
  package        = var.package
  package_sha256 = var.package_sha256
  operator_key   = var.operator_key
  inventory      = var.inventory
}

locals {
  names     = [for i in range(var.openstack_members) : "os${i}"]
  user_data = { for name in local.names : name => replace(module.aws.boot, "@NAME@", name) }
}

resource "openstack_networking_network_v2" "this" {
  name = "hipd"
}

resource "openstack_networking_subnet_v2" "this" {
  network_id = openstack_networking_network_v2.this.id
  cidr       = "10.20.0.0/24"
}

data "openstack_networking_network_v2" "external" {
  name     = var.external_network
  external = true
}

resource "openstack_networking_router_v2" "this" {
  name                = "hipd"
  external_network_id = data.openstack_networking_network_v2.external.id
}

resource "openstack_networking_router_interface_v2" "this" {
  router_id = openstack_networking_router_v2.this.id
  subnet_id = openstack_networking_subnet_v2.this.id
}

resource "openstack_networking_secgroup_v2" "this" {
  name        = "hipd"
  description = "hipd, ICMP, and ssh for those who run it"
}

resource "openstack_networking_secgroup_rule_v2" "hip" {
  security_group_id = openstack_networking_secgroup_v2.this.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "udp"
  port_range_min    = 10500
  port_range_max    = 10500
}

resource "openstack_networking_secgroup_rule_v2" "icmp" {
  security_group_id = openstack_networking_secgroup_v2.this.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "icmp"
}

resource "openstack_networking_secgroup_rule_v2" "ssh" {
  security_group_id = openstack_networking_secgroup_v2.this.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = 22
  port_range_max    = 22
  remote_ip_prefix  = var.admin_cidr
}

resource "openstack_networking_port_v2" "member" {
  for_each = local.user_data

  name               = each.key
  network_id         = openstack_networking_network_v2.this.id
  security_group_ids = [openstack_networking_secgroup_v2.this.id]

  fixed_ip {
    subnet_id = openstack_networking_subnet_v2.this.id
  }
}

resource "openstack_compute_instance_v2" "member" {
  for_each = local.user_data

  name        = each.key
  image_name  = var.openstack_image
  flavor_name = var.openstack_flavor
  key_pair    = var.key_name
  user_data   = each.value

  network {
    port = openstack_networking_port_v2.member[each.key].id
  }

  # A change must not replace a member, whose identity is on its disk.
  lifecycle {
    ignore_changes = [image_name, user_data]
  }
}

resource "openstack_networking_floatingip_v2" "member" {
  for_each = openstack_networking_port_v2.member

  pool       = var.external_network
  port_id    = each.value.id
  depends_on = [openstack_networking_router_interface_v2.this]
}
