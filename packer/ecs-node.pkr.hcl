# An ECS-optimized Amazon Linux 2023 image with ecs-node in it, for x86_64 and arm64.
#
#   npm run release -- --unsigned                       makes the release that is installed (dist/release/)
#   packer init packer/
#   packer build -var region=us-east-1 packer/          both architectures; -only='*.x86_64' for one
#
# Every variable is described below. Give them with -var, or in a *.pkrvars.hcl file with -var-file.

packer {
  required_version = "~> 1.16"
  required_plugins {
    amazon = {
      version = "1.8.2"
      source  = "github.com/hashicorp/amazon"
    }
  }
}

variable "region" {
  type        = string
  default     = env("AWS_REGION")
  description = "Region that the image is built in; default: AWS_REGION of the environment."
  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "Give the region to build in: -var region=us-east-1, or AWS_REGION in the environment."
  }
}

variable "release_folder" {
  type        = string
  default     = ""
  description = "Folder with the release archives; default: dist/release beside this folder (npm run release)."
}

variable "version" {
  type        = string
  default     = ""
  description = "Version of ecs-node to install; default: that of package.json beside this folder."
}

variable "image_name" {
  type        = string
  default     = "ecs-node"
  description = "The image is called NAME-VERSION-ARCHITECTURE-TIME."
}

variable "source_parameters" {
  type = map(string)
  default = {
    x86_64 = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    arm64  = "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id"
  }
  description = "SSM parameters that hold the id of the image to build upon; for GPU nodes: …/amazon-linux-2023/gpu/recommended/image_id."
}

variable "instance_types" {
  type = map(string)
  default = {
    x86_64 = "t3.small"
    arm64  = "t4g.small"
  }
  description = "Instance type of the build instance."
}

variable "volume_size" {
  type        = number
  default     = 30
  description = "GiB of the image's root volume, on which Docker's data lies too. Not below that of the source image (30)."
}

variable "encrypt" {
  type        = bool
  default     = true
  description = "Encrypt the image."
}

variable "kms_key_id" {
  type        = string
  default     = ""
  description = "KMS key (id, ARN, or alias/NAME) to encrypt with; default: the account's key for EBS, with which an image cannot be shared."
}

variable "copy_to" {
  type        = map(string)
  default     = {}
  description = "Further regions, each with the KMS key to encrypt the copy with there (\"\": that region's default key)."
}

variable "share_with" {
  type        = list(string)
  default     = []
  description = "Account ids that may launch the image. Needs kms_key_id, and a key policy that lets them use it."
}

variable "share_with_organizations" {
  type        = list(string)
  default     = []
  description = "ARNs of organizations that may launch the image."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Subnet to build in; default: one of the default VPC."
}

variable "ssh_interface" {
  type        = string
  default     = ""
  description = "How to reach the build instance: public_ip, private_ip, session_manager (needs instance_profile) …; default: public address, else the private one."
}

variable "ssh_from" {
  type        = list(string)
  default     = ["0.0.0.0/0"]
  description = "Networks that may reach the build instance's SSH while it lives; narrow it to yours. Access takes the build's own key either way."
}

variable "instance_profile" {
  type        = string
  default     = ""
  description = "Instance profile of the build instance. The build itself needs none."
}

variable "files" {
  type        = string
  default     = ""
  description = "Folder that is laid over / of the image, such as files/ with etc/rsyslog.d/50-fleet.conf and etc/chrony.d/fleet.sources in it. Everything in it then belongs to root."
}

variable "scripts" {
  type        = list(string)
  default     = []
  description = "Your own scripts, run as root in this order after ecs-node and \"files\" are there. The clean-up comes after them. They must not reboot the machine."
}

variable "script_environment" {
  type        = map(string)
  default     = {}
  sensitive   = true
  description = "Environment variables of your scripts, such as an API key. They are not kept in the image."
}

variable "container_images" {
  type        = list(string)
  default     = []
  description = "Container images to pull into the image, after your scripts, which may log in to a registry. The login is not kept in the image."
  validation {
    condition     = alltrue([for name in var.container_images : can(regex("^[A-Za-z0-9][A-Za-z0-9._/:@-]*$", name))])
    error_message = "Each of container_images must be an image's name, such as public.ecr.aws/docker/library/redis:7."
  }
}

variable "keep_running" {
  type        = list(string)
  default     = []
  description = "Units that carry Packer's own connection (a VPN's agent). The clean-up stops all other daemons, so that none of them writes to the image afterwards."
  validation {
    condition     = alltrue([for unit in var.keep_running : can(regex("^[A-Za-z0-9_.@-]+[.][a-z]+$", unit))])
    error_message = "Each of keep_running must be a unit's full name, such as tailscaled.service."
  }
}

variable "ami_parameters" {
  type        = map(string)
  default     = {}
  description = "SSM parameter that each image's id is written to, by architecture, e.g. { x86_64 = \"/ami/ecs/latest\" }; default: none is written."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Further tags of the image and its snapshots."
}

data "amazon-parameterstore" "x86_64" {
  name   = var.source_parameters.x86_64
  region = var.region
}

data "amazon-parameterstore" "arm64" {
  name   = var.source_parameters.arm64
  region = var.region
}

locals {
  here           = abspath(path.root)
  version        = var.version != "" ? var.version : jsondecode(file("${local.here}/../package.json")).version
  release_folder = var.release_folder != "" ? var.release_folder : "${local.here}/../dist/release"
  time           = formatdate("YYYYMMDD'T'hhmmss'Z'", timestamp())

  # Packer would cut its own connection if these stopped.
  kept = join(" ", concat(var.ssh_interface == "session_manager" ? ["amazon-ssm-agent.service"] : [], var.keep_running))

  tags = merge(var.tags, {
    "ecs-node:version" = local.version
    "ecs-node:source"  = "{{ .SourceAMI }}"
  })
}

source "amazon-ebs" "node" {
  region    = var.region
  subnet_id = var.subnet_id

  ami_description         = "ECS container instance with ecs-node ${local.version}, from {{ .SourceAMIName }}"
  ami_virtualization_type = "hvm"
  # Nodes made from this image have no IMDSv1, even where their launch template does not forbid it.
  imds_support = "v2.0"

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.volume_size
    delete_on_termination = true
  }

  encrypt_boot       = var.encrypt
  kms_key_id         = var.kms_key_id
  ami_regions        = keys(var.copy_to)
  region_kms_key_ids = var.encrypt ? var.copy_to : {}
  ami_users          = var.share_with
  snapshot_users     = var.share_with
  ami_org_arns       = var.share_with_organizations

  iam_instance_profile = var.instance_profile
  ssh_username         = "ec2-user"
  ssh_interface        = var.ssh_interface

  temporary_security_group_source_cidrs = var.ssh_from
  # The sshd of Amazon Linux 2023 refuses ssh-rsa.
  temporary_key_pair_type = "ed25519"
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # No container needs the metadata service during the build.
    http_put_response_hop_limit = 1
  }

  tags          = merge(local.tags, { Name = "${var.image_name}-${local.version}" })
  snapshot_tags = local.tags
  run_tags      = { Name = "packer ${var.image_name} ${local.version}" }
  # Those tags belong to the build instance and not to the image.
  skip_ami_run_tags = true
}

build {
  source "amazon-ebs.node" {
    name          = "x86_64"
    source_ami    = data.amazon-parameterstore.x86_64.value
    instance_type = var.instance_types.x86_64
    ami_name      = "${var.image_name}-${local.version}-x86_64-${local.time}"
  }

  source "amazon-ebs.node" {
    name          = "arm64"
    source_ami    = data.amazon-parameterstore.arm64.value
    instance_type = var.instance_types.arm64
    ami_name      = "${var.image_name}-${local.version}-arm64-${local.time}"
  }

  # First: an agent that runs during the build joins a cluster and writes its identity.
  provisioner "shell" {
    execute_command = "sudo sh {{ .Path }} ${local.kept}"
    script          = "${local.here}/provision/stop-agents.sh"
  }

  provisioner "file" {
    source      = "${local.release_folder}/ecs-node-linux-${source.name}.tar.xz"
    destination = "/tmp/ecs-node.tar.xz"
  }

  provisioner "shell" {
    execute_command = "sudo sh {{ .Path }} /tmp/ecs-node.tar.xz ${local.version}"
    script          = "${local.here}/provision/install-release.sh"
  }

  # An archive, since Packer's user may not write to /etc. It is empty where no folder was given.
  provisioner "shell-local" {
    inline = [
      "COPYFILE_DISABLE=1 tar -cf '${local.release_folder}/packer-files-${source.name}.tar' ${var.files == "" ? "-T /dev/null" : "-C '${var.files}' ."}"
    ]
  }

  provisioner "file" {
    source      = "${local.release_folder}/packer-files-${source.name}.tar"
    destination = "/tmp/ecs-node-files.tar"
    generated   = true
  }

  provisioner "shell" {
    # By the interpreter that the script names, since /tmp may be mounted noexec.
    execute_command = "sudo env {{ .Vars }} $(sed -n '1{s/^#! *//p;t;s/.*/sh/p}' {{ .Path }}) {{ .Path }}"
    # A list that is never empty, which Packer refuses.
    scripts          = concat(["${local.here}/provision/lay-files.sh"], var.scripts)
    environment_vars = [for name, value in var.script_environment : "${name}=${value}"]
  }

  provisioner "shell" {
    execute_command = "sudo sh {{ .Path }} ${join(" ", var.container_images)}"
    script          = "${local.here}/provision/preload-images.sh"
  }

  # The last two: no step may change the image after it has passed.
  provisioner "shell" {
    execute_command = "sudo sh {{ .Path }} ${local.kept}"
    script          = "${local.here}/provision/clean-image.sh"
  }

  provisioner "shell" {
    execute_command = "sudo sh {{ .Path }} ${local.version}"
    script          = "${local.here}/provision/verify-image.sh"
  }

  post-processors {
    # Beside the archives, in a folder that exists: the build began by reading from it.
    post-processor "manifest" {
      output = "${local.release_folder}/packer-${source.name}.json"
    }
    post-processor "shell-local" {
      inline = [
        lookup(var.ami_parameters, source.name, "") == "" ? "echo 'no SSM parameter asked for (ami_parameters)'" :
        "sh '${local.here}/provision/publish-ami.sh' '${local.release_folder}/packer-${source.name}.json' '${lookup(var.ami_parameters, source.name, "")}' ${source.name}"
      ]
    }
  }
}
