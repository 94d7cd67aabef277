variable "cluster" {
  description = "Name of the ECS cluster, which exists unless create_cluster is true"
  type        = string
}

variable "create_cluster" {
  description = "Whether to create the cluster, with a capacity provider. Never with the name of a cluster that exists"
  type        = bool
  default     = false
}

variable "subnet_ids" {
  description = "Subnets of the nodes, in at least two zones"
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the nodes"
  type        = list(string)
}

variable "size" {
  description = "Number of nodes"
  type        = number
  default     = 2
}

variable "image_parameter" {
  description = "SSM parameter with the image's id, such as the one that packer/ writes"
  type        = string
  default     = "/ami/ecs/latest"
}

variable "install_url" {
  description = "install.sh of your release, for an image without ecs-node; empty for an image of packer/"
  type        = string
  default     = ""
}

variable "instance_type" {
  description = "Instance type of the nodes, of the image's architecture"
  type        = string
  default     = "m7i.large"
}

variable "volume_size" {
  description = "GiB of each node's only volume, which also holds Docker's images"
  type        = number
  default     = 100
}
