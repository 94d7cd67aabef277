#!/bin/sh
# Builds OpenTofu and hcl2json from the Go module proxy into a cache folder. hcl2json prints what
# HashiCorp's parser reads.
#
# usage: test/examples/get-tofu.sh [FOLDER]
#  (default ~/.cache/ecs-node/tofu; prints the folder to put on PATH)
set -eu

tofu=github.com/opentofu/opentofu
tofu_version=v1.12.6
hcl2json=github.com/tmccombs/hcl2json
hcl2json_version=v0.6.9

# shellcheck source=packer/go-programs.sh
. "$(dirname "$0")/../../packer/go-programs.sh"
open_folder tofu "tofu $tofu_version hcl2json $hcl2json_version" "${1:-}"
build hcl2json "$hcl2json" "$hcl2json_version" "$hcl2json"
build tofu "$tofu" "$tofu_version" "$tofu/cmd/tofu"
close_folder
