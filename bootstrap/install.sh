#!/bin/sh
# The user data of a stock ECS-optimized Amazon Linux 2023 image:
#
#   #!/bin/sh
#   curl -fsSL https://example.com/ecs-node/install.sh | sh -s -- --cluster prod
#
# Downloads the release for this machine's architecture, checks its signature and its SHA-256, installs it and hands over to
# "ecs-node configure" with the same flags. Waits for nothing else: the units do the rest once cloud-init is done.
#
# Own options, before the flags of configure:   --base-url URL   where the release lies; also ECS_NODE_RELEASE
# Nothing is installed unless the signature is that of the key below.
#
# Exit codes: 64 usage, 69 cannot download or a tool is missing, 76 not what was signed, 77 not root; else configure's.
set -eu

# Whoever calls us may have any environment: nothing of it may change what our commands do, or which they are.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset IFS CDPATH ENV BASH_ENV TAR_OPTIONS XZ_OPT XZ_DEFAULTS POSIXLY_CORRECT
unalias -a 2>/dev/null || :
umask 022

# "npm run release" fills these in.
base_url=${ECS_NODE_RELEASE:-'@BASE_URL@'}
public_key='@PUBLIC_KEY@'

fail() {
  echo "install.sh: $2" >&2
  # cloud-init's log is read by few, the console by get-console-output.
  { echo "ecs-node: install.sh: $2" >/dev/console; } 2>/dev/null || :
  exit "$1"
}

# Everything in functions, called on the last line: a script of which only half arrived does nothing.
main() {
  case ${1:-} in
    --base-url) base_url=${2:-}; [ $# -ge 2 ] || fail 64 '--base-url needs a URL'; shift 2 ;;
    --base-url=*) base_url=${1#*=}; shift ;;
  esac
  base_url=${base_url%/}
  case $base_url in
    https://* | file:///* | http://127.0.0.1[:/]* | http://169.254.169.254[:/]*) ;;
    http://*) fail 64 "$base_url: only https is safe to install from" ;;
    *) fail 64 'no release to install from: give --base-url URL or set ECS_NODE_RELEASE' ;;
  esac
  [ "$(id -u)" = 0 ] || fail 77 'must run as root'
  case $(uname -m) in
    x86_64 | amd64) archive=ecs-node-linux-x86_64.tar.xz ;;
    aarch64 | arm64) archive=ecs-node-linux-arm64.tar.xz ;;
    *) fail 69 "no release for $(uname -m): there are x86_64 and arm64" ;;
  esac
  hold_ecs
  need curl openssl sha256sum tar xz

  # Not /tmp, which may be small (a tmpfs) or noexec.
  work=$(mktemp -d /var/tmp/ecs-node.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 143' TERM INT HUP
  for file in SHA256SUMS SHA256SUMS.sig "$archive"; do download "$file"; done
  verify
  mkdir "$work/release"
  tar -xJf "$work/$archive" -C "$work/release" --no-same-owner || fail 69 "cannot unpack $archive"
  "$work/release/install-files.sh"
  status=0
  /usr/bin/ecs-node configure "$@" || status=$?
  # Not waited for: it is ordered after cloud-init's last stage, in which we run. Also when configure refused the flags: the
  # start of ecs that waits in systemd's queue is then refused with it.
  if [ -d /run/systemd/system ]; then systemctl --no-block start ecs-node-bootstrap.service; fi
  exit "$status"
}

# From here on ecs starts only on a machine that has ecs-node. Otherwise a download that fails would leave a node that joins
# the cluster "default". Holds across reboots, and for the start that is in systemd's queue already.
hold_ecs() {
  [ ! -x /usr/bin/ecs-node ] || return 0
  mkdir -p /etc/systemd/system/ecs.service.d
  printf '[Unit]\nConditionPathExists=/usr/bin/ecs-node\n' >/etc/systemd/system/ecs.service.d/05-ecs-node-is-there.conf
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

# The ECS-optimized image has all of them; where one was taken out, Amazon's repository has it.
need() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 && continue
    package=$tool
    [ "$tool" != sha256sum ] || package=coreutils
    if command -v dnf >/dev/null 2>&1; then dnf -qy install "$package" >&2 || :; fi
    command -v "$tool" >/dev/null 2>&1 || fail 69 "$tool is missing and could not be installed"
  done
}

# 30 MB. Five tries, a minute and a half in all: a network that is still coming up, a mirror that hiccups.
download() {
  curl -fsSL --proto '=https,http,file' --proto-redir '=https' --connect-timeout 10 --max-time 300 \
    --retry 5 --retry-delay 3 --retry-connrefused -o "$work/$1" "$base_url/$1" ||
    fail 69 "cannot download $base_url/$1"
}

# The list is signed, and the archive is in the list.
verify() {
  printf '%s\n' "$public_key" >"$work/key.pem"
  openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/SHA256SUMS.sig" "$work/SHA256SUMS" >/dev/null 2>&1 ||
    fail 76 "$base_url/SHA256SUMS is not signed by the key in this script: nothing was installed"
  (
    cd "$work"
    grep -E "^[0-9a-f]{64} [ *]$archive\$" SHA256SUMS >expected && sha256sum -c --status expected
  ) || fail 76 "$archive is not what SHA256SUMS says: nothing was installed"
}

main "$@"
