# 7. Events and alarms. Events are kept for 90 days, and `ecs-node fleet --history` prints them.
# The log group, its policy, the rule and the alarms in local.failed are once per cluster: leave them
# out for a second group of the same cluster.

variable "alarm_topic_arn" {
  description = "SNS topic for the alarms; empty for none"
  type        = string
  default     = ""
}

locals {
  of_group = { AutoScalingGroupName = local.group }
  failed   = { "failed bootstrap" = "bootstrap-failed", "failed join" = "join-failed" }

  # The name of each alarm, and a metric that nodes publish every five minutes.
  alarms = merge(
    {
      disk          = { metric = "DiskSpaceUtilization", dimensions = local.of_group, statistic = "Maximum", periods = 2, above = 85 }
      inodes        = { metric = "DiskInodesUtilization", dimensions = local.of_group, statistic = "Maximum", periods = 2, above = 85 }
      "launch hook" = { metric = "LaunchHookNotCompleted", dimensions = local.of_group, statistic = "Sum", periods = 2, above = 0 }
      "storm guard" = { metric = "BootstrapHeld", dimensions = local.of_group, statistic = "Sum", periods = 1, above = 0 }
      upkeep        = { metric = "UpkeepFailing", dimensions = local.of_group, statistic = "Maximum", periods = 12, above = 0 }
    },
    {
      for name, cause in local.failed :
      name => { metric = "Departures", dimensions = { ClusterName = var.cluster, Cause = cause }, statistic = "Sum", periods = 1, above = 0 }
    },
  )
}

resource "aws_cloudwatch_log_group" "events" {
  name              = "/ecs-node/${var.cluster}/events"
  retention_in_days = 90
}

# An account may have ten such policies.
resource "aws_cloudwatch_log_resource_policy" "events" {
  policy_name = "ecs-node-${var.cluster}-events"

  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["events.amazonaws.com", "delivery.logs.amazonaws.com"] }
      Action    = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource  = "${aws_cloudwatch_log_group.events.arn}:*"
    }]
  })
}

resource "aws_cloudwatch_event_rule" "events" {
  name          = "ecs-node-${var.cluster}-events"
  event_pattern = jsonencode({ source = ["ecs-node"], detail = { cluster = [var.cluster] } })
}

resource "aws_cloudwatch_event_target" "events" {
  rule = aws_cloudwatch_event_rule.events.name
  arn  = aws_cloudwatch_log_group.events.arn
}

resource "aws_cloudwatch_metric_alarm" "nodes" {
  for_each = local.alarms

  alarm_name          = join(" ", compact(["ecs-node", var.cluster, try(each.value.dimensions.AutoScalingGroupName, ""), each.key]))
  alarm_description   = "docs/runbook.md of ecs-node, \"By alarm\", says what to do."
  namespace           = "System/Linux"
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}
