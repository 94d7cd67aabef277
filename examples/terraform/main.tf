# An Auto Scaling group of an ECS cluster whose nodes run ecs-node. The numbers are those of the
# sections of docs/your-own-group.md.
#
# By default the cluster exists, and nothing here changes it: no apply replaces its capacity
# providers, and no destroy deletes it.

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

data "aws_ssm_parameter" "image" {
  name = var.image_parameter
}

locals {
  group = "${var.cluster}-nodes"

  # The container of a task in awsvpc mode must not reach the node's role.
  flags   = "--cluster ${var.cluster} --registrar ssm --set events.bus=default --set ecs.settings.ECS_AWSVPC_BLOCK_IMDS=true"
  baked   = "exec ecs-node configure ${local.flags}"
  install = "curl -fsSL ${var.install_url} | sh -s -- ${local.flags}"
}

# ECS answers the creation of a cluster that exists with that cluster, and destroy would delete it.
resource "aws_ecs_cluster" "this" {
  count = var.create_cluster ? 1 : 0

  name = var.cluster
}

# Fails where the cluster does not exist.
data "aws_ecs_cluster" "existing" {
  count = var.create_cluster ? 0 : 1

  cluster_name = var.cluster
}

# 1. The program on each node, and 3. A launch template with user data and metadata.
resource "aws_launch_template" "nodes" {
  name_prefix                          = "${local.group}-"
  image_id                             = data.aws_ssm_parameter.image.insecure_value
  instance_type                        = var.instance_type
  vpc_security_group_ids               = var.security_group_ids
  instance_initiated_shutdown_behavior = "terminate"

  user_data = base64encode(<<-EOT
    #!/bin/sh
    ${var.install_url == "" ? local.baked : local.install}
  EOT
  )

  iam_instance_profile {
    arn = aws_iam_instance_profile.nodes.arn
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = var.volume_size
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }
}

# 2. Permissions. The output of "ecs-node policy", "ecs-node policy --for ecs-agent" and
# "ecs-node policy --for systems-manager".
resource "aws_iam_role" "nodes" {
  name_prefix = "${local.group}-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "nodes" {
  for_each = toset(["ecs-node", "ecs-agent", "systems-manager"])

  name = each.key
  role = aws_iam_role.nodes.id

  policy = templatefile("${path.module}/policies/${each.key}.json.tftpl", {
    partition = data.aws_partition.current.partition
    region    = data.aws_region.current.region
    account   = data.aws_caller_identity.current.account_id
    cluster   = var.cluster
    group     = local.group
  })
}

resource "aws_iam_instance_profile" "nodes" {
  name_prefix = "${local.group}-"
  role        = aws_iam_role.nodes.name
}

resource "aws_autoscaling_group" "nodes" {
  name                      = local.group
  vpc_zone_identifier       = var.subnet_ids
  min_size                  = var.size
  max_size                  = var.size * 2
  desired_capacity          = var.size
  health_check_type         = "EC2"
  health_check_grace_period = 0
  default_instance_warmup   = 0
  termination_policies      = ["OldestLaunchTemplate", "Default"]

  launch_template {
    id      = aws_launch_template.nodes.id
    version = aws_launch_template.nodes.latest_version
  }

  # 4. A launch hook. Hooks that are part of the group exist before it launches its first node. Terraform
  # adds them when it creates the group only: a group that exists needs aws_autoscaling_lifecycle_hook.
  initial_lifecycle_hook {
    name                 = "ecs-node-launch"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 1800
    default_result       = "ABANDON"
  }

  # 5. A terminate hook.
  initial_lifecycle_hook {
    name                 = "ecs-node-terminate"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 1200
    default_result       = "CONTINUE"
  }

  # 6. A way to replace nodes. The new one is in service before the old one goes.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 200
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage       = 100
      max_healthy_percentage       = 100
      skip_matching                = true
      scale_in_protected_instances = "Ignore"
      standby_instances            = "Ignore"
    }
  }

  tag {
    key                 = "Name"
    value               = "${var.cluster} ECS"
    propagate_at_launch = true
  }

  # ECS manages only groups with this tag. If ECS set it, the next apply would remove it.
  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }

  # A node may take its drain time before it goes.
  timeouts {
    delete = "45m"
  }

  # Nodes need their cluster and permissions from the first minute, and until they have gone.
  depends_on = [aws_iam_role_policy.nodes, aws_ecs_cluster.this, data.aws_ecs_cluster.existing]
}

# A name must not begin with aws, ecs or fargate.
resource "aws_ecs_capacity_provider" "nodes" {
  count = var.create_cluster ? 1 : 0

  name = "nodes-${var.cluster}"

  auto_scaling_group_provider {
    auto_scaling_group_arn = aws_autoscaling_group.nodes.arn

    # The node drains itself. Scale-in protection would also stop a node that has to leave.
    managed_draining               = "DISABLED"
    managed_termination_protection = "DISABLED"

    managed_scaling {
      status = "DISABLED"
    }
  }
}

# Replaces the whole list of the cluster's providers, so it is for a cluster of its own.
resource "aws_ecs_cluster_capacity_providers" "this" {
  count = var.create_cluster ? 1 : 0

  cluster_name       = aws_ecs_cluster.this[0].name
  capacity_providers = [aws_ecs_capacity_provider.nodes[0].name]

  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.nodes[0].name
    weight            = 1
  }
}
