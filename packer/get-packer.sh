#!/bin/sh
# Builds the Packer and the amazon plugin that the template pins, from the Go module proxy, into a
# cache folder.
#
# usage: packer/get-packer.sh [FOLDER]      (default ~/.cache/ecs-node/packer)
#
# Prints the folder to put on PATH.
#
# This is for machines that have Go but no HashiCorp package source.
# Where there is one, install Packer from it and run `packer init packer/`.
set -eu

packer=github.com/hashicorp/packer
packer_version=v1.16.0
amazon=github.com/hashicorp/packer-plugin-amazon
amazon_version=v1.8.2

# shellcheck source=packer/go-programs.sh
. "$(dirname "$0")/go-programs.sh"
open_folder packer "packer $packer_version amazon $amazon_version" "${1:-}"
build packer "$packer" "$packer_version" "$packer"
build packer-plugin-amazon "$amazon" "$amazon_version" "$amazon"

# The plugin is installed where `packer init` would put it, below PACKER_PLUGIN_PATH.
PACKER_PLUGIN_PATH=$folder/plugins "$folder/bin/packer" plugins install \
  --path "$folder/bin/packer-plugin-amazon" github.com/hashicorp/amazon >&2
rm -f "$folder/bin/packer-plugin-amazon"
close_folder
