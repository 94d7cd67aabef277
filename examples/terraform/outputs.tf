output "group_name" {
  description = "Auto Scaling group of the nodes"
  value       = aws_autoscaling_group.nodes.name
}

output "role_name" {
  description = "Role of the nodes, to attach further policies to"
  value       = aws_iam_role.nodes.name
}

output "capacity_provider_name" {
  description = "Capacity provider of a created cluster, which is its default strategy"
  value       = one(aws_ecs_capacity_provider.nodes[*].name)
}
