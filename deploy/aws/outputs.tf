output "addresses" {
  description = "Elastic IPs of the members, by name."
  value       = { for name, eip in aws_eip.member : name => eip.public_ip }
}

output "instances" {
  description = "Instance ids by name: `aws ec2 get-console-output` tells each member's identity."
  value       = { for name, instance in aws_instance.member : name => instance.id }
}

output "boot" {
  description = "User data for members elsewhere: @NAME@ stands for the name."
  value       = local.boot
}
