output "addresses" {
  description = "Public addresses of all members, by name."
  value = merge(
    module.aws.addresses,
    { for name, ip in openstack_networking_floatingip_v2.member : name => ip.address },
  )
}

# terraform output -raw ansible_inventory > fleet.ini
output "ansible_inventory" {
  description = "Hosts for deploy/ansible, which introduces the members to each other."
  value = join("\n", concat(
    ["[hipd]"],
    [for name, address in module.aws.addresses : "${name} ansible_host=${address}"],
    [for name, ip in openstack_networking_floatingip_v2.member : "${name} ansible_host=${ip.address}"],
    [""],
  ))
}
