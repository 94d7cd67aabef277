#!/bin/sh
# Builds amazon-ec2-metadata-mock, AWS's own imitation of the metadata service, from the Go module
# proxy into a cache folder.
#
# usage: test/peers/get-metadata-mock.sh [FOLDER]
#  (default ~/.cache/ecs-node/metadata-mock; prints the folder to put on PATH)
set -eu

module=github.com/aws/amazon-ec2-metadata-mock
# v1.13.0 mocks nothing more that a node reads, and some module proxies do not have it.
version=v1.12.0

# shellcheck source=packer/go-programs.sh
. "$(dirname "$0")/../../packer/go-programs.sh"
open_folder metadata-mock "$version" "${1:-}"
build amazon-ec2-metadata-mock "$module" "$version" "$module/cmd"
close_folder
