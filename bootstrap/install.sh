#!/bin/sh
# The user data of a stock ECS-optimized Amazon Linux 2023 image:
#
#   #!/bin/sh
#   curl -fsSL https://example.com/ecs-node/install.sh | sh -s -- --cluster prod
#
# Downloads the release for this machine's architecture, checks its signature, its SHA-256 and its
# version, installs it and calls "ecs-node configure" with the same flags. It does not wait for the
# node: the units start when cloud-init is done.
#
# Own option, before the flags of configure:   --base-url URL   (or ECS_NODE_RELEASE)
# The script installs only a release that the key below signed and that is at least as new as this
# script.
#
# Exit codes: 64 usage, 69 cannot download or a tool is missing, 76 not what was signed, 77 not
# root; else configure's.

# A caller's environment must not change what our commands do, or which commands run. In POSIX mode
# bash cannot be given a function in place of "exit", "unset" and the like, and "unset" then removes
# the other functions that the caller exported. It stays in that mode while the variable is set.
POSIXLY_CORRECT=1
set -eu
unset -f [ cd echo printf umask unalias id uname mkdir rm
unset IFS CDPATH ENV BASH_ENV TAR_OPTIONS XZ_OPT XZ_DEFAULTS
unalias -a 2>/dev/null || :
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022

# "npm run release" fills these in.
base_url=${ECS_NODE_RELEASE:-'@BASE_URL@'}
public_key='@PUBLIC_KEY@'
version='@VERSION@'

fail() {
  echo "install.sh: $2" >&2
  # Few people read cloud-init's log, but get-console-output shows the console.
  { echo "ecs-node: install.sh: $2" >/dev/console; } 2>/dev/null || :
  exit "$1"
}

# Programs get this environment and no other: no exported function, no HOME with a .curlrc, no
# OPENSSL_CONF. A download may need the caller's proxy and its certificates.
run() {
  /usr/bin/env -i PATH="$PATH" LC_ALL=C \
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} ${no_proxy:+"no_proxy=$no_proxy"} \
    ${HTTPS_PROXY:+"HTTPS_PROXY=$HTTPS_PROXY"} ${NO_PROXY:+"NO_PROXY=$NO_PROXY"} \
    ${CURL_CA_BUNDLE:+"CURL_CA_BUNDLE=$CURL_CA_BUNDLE"} ${SSL_CERT_FILE:+"SSL_CERT_FILE=$SSL_CERT_FILE"} "$@"
}

# Everything is in functions that the last line calls, so half a script does nothing.
main() {
  case ${1:-} in
    --base-url) base_url=${2:-}; [ $# -ge 2 ] || fail 64 '--base-url needs a URL'; shift 2 ;;
    --base-url=*) base_url=${1#*=}; shift ;;
  esac
  base_url=${base_url%/}
  judge_url
  [ "$(id -u)" = 0 ] || fail 77 'must run as root'
  case $(uname -m) in
    x86_64 | amd64) archive=ecs-node-linux-x86_64.tar.xz ;;
    aarch64 | arm64) archive=ecs-node-linux-arm64.tar.xz ;;
    *) fail 69 "no release for $(uname -m): there are x86_64 and arm64" ;;
  esac
  read_network
  hold_ecs
  need curl openssl sha256sum tar xz

  # Not /tmp, which may be small (a tmpfs).
  work=$(run mktemp -d /var/tmp/ecs-node.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 143' TERM INT HUP
  for file in SHA256SUMS SHA256SUMS.sig "$archive"; do download "$file"; done
  verify
  mkdir "$work/release"
  run tar -xJf "$work/$archive" -C "$work/release" --no-same-owner || fail 69 "cannot unpack $archive"
  refuse_older
  # Run by sh, because hardened images mount /var/tmp noexec.
  run sh "$work/release/install-files.sh"
  keep_network
  status=0
  /usr/bin/ecs-node configure "$@" || status=$?
  # The script does not wait: the unit is ordered after cloud-init's last stage, in which this
  # script runs. It starts the unit also after configure refused the flags: systemd then refuses the
  # start of ecs that is in its queue.
  if [ -d /run/systemd/system ]; then run systemctl --no-block start ecs-node-bootstrap.service; fi
  exit "$status"
}

# /etc/ecs-node/environment says how this network reaches AWS, for this script and for the units.
# The caller's variables override it.
network_file=/etc/ecs-node/environment
network_names='HTTPS_PROXY https_proxy NO_PROXY no_proxy AWS_CA_BUNDLE'

read_network() {
  for name in $network_names; do
    eval "value=\${$name:-}"
    if [ -n "$value" ] || [ ! -r "$network_file" ]; then continue; fi
    value=$(run sed -n "s/^[[:space:]]*${name}[[:space:]]*=[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*\$/\1/p" "$network_file" | run sed -n '$p')
    case $value in \"*\" | \'*\') value=${value#?} value=${value%?} ;; esac
    eval "$name=\$value"
  done
  [ -n "${CURL_CA_BUNDLE:-}" ] || CURL_CA_BUNDLE=${AWS_CA_BUNDLE:-}
}

# Only root may read it: the URL of a proxy may hold a password.
keep_network() {
  [ ! -e "$network_file" ] || return 0
  for name in $network_names; do
    eval "value=\${$name:-}"
    case $value in '' | *[!' '-~]* | *[\'\\]*) continue ;; esac
    mkdir -p "${network_file%/*}"
    (umask 077 && printf "%s='%s'\n" "$name" "$value" >>"$network_file")
  done
}

# Plain http is allowed only from this machine itself. "http://127.0.0.1:80@example.com/" has a user
# and a password, and goes to example.com.
judge_url() {
  # Messages go to the console, so they must not contain a password.
  shown=$base_url
  case $base_url in https://*@*) shown=https://${base_url##*@} ;; esac
  case $shown in
    '') fail 64 'no release to install from: give --base-url URL or set ECS_NODE_RELEASE' ;;
    *[!A-Za-z0-9._~:/%+,=-]*) fail 64 "$shown: a URL here has a host and a path, and no query or special character" ;;
    https://[A-Za-z0-9]* | file:///*) ;;
    http://127.0.0.1 | http://127.0.0.1/* | http://169.254.169.254 | http://169.254.169.254/*) ;;
    http://127.0.0.1:* | http://169.254.169.254:*)
      port=${base_url#http://*:}
      port=${port%%/*}
      case $port in '' | *[!0-9]*) fail 64 "$shown: \"$port\" is no port" ;; esac
      ;;
    http://*) fail 64 "$shown: only https is safe to install from" ;;
    *) fail 64 'no release to install from: give --base-url URL or set ECS_NODE_RELEASE' ;;
  esac
}

# ecs must not start on a machine without ecs-node: after a failed download, the node would join the
# cluster "default". The condition survives reboots, and applies to a start that is already in
# systemd's queue. install-files.sh removes it.
hold_ecs() {
  [ ! -x /usr/bin/ecs-node ] || return 0
  mkdir -p /etc/systemd/system/ecs.service.d
  printf '[Unit]\nConditionPathExists=/usr/bin/ecs-node\n' >/etc/systemd/system/ecs.service.d/05-ecs-node-is-there.conf
  if [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
}

# The ECS-optimized image has all of these tools. If one was removed, Amazon's repository has it.
need() {
  for tool in "$@"; do
    run sh -c 'command -v "$0"' "$tool" >/dev/null 2>&1 && continue
    package=$tool
    [ "$tool" != sha256sum ] || package=coreutils
    run dnf -qy install "$package" >&2 || :
    run sh -c 'command -v "$0"' "$tool" >/dev/null 2>&1 || fail 69 "$tool is missing and could not be installed"
  done
}

# The archive has 30 MB. Five retries, 90 s in all, cover a network that is still coming up or a
# mirror that fails for a moment. -q: no .curlrc. -g: no pattern in the URL.
download() {
  run curl -q -g -fsSL --proto '=https,http,file' --proto-redir '=https' --connect-timeout 10 --max-time 300 \
    --retry 5 --retry-delay 3 --retry-connrefused -o "$work/$1" "$base_url/$1" ||
    fail 69 "cannot download $shown/$1"
}

# The list is signed, and the archive is in the list.
verify() {
  printf '%s\n' "$public_key" >"$work/key.pem"
  run openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/SHA256SUMS.sig" "$work/SHA256SUMS" >/dev/null 2>&1 ||
    fail 76 "$shown/SHA256SUMS is not signed by the key in this script: nothing was installed"
  (
    cd "$work"
    run grep -E "^[0-9a-f]{64} [ *]$archive\$" SHA256SUMS >expected && run sha256sum -c --status expected
  ) || fail 76 "$archive is not what SHA256SUMS says: nothing was installed"
}

# A mirror can serve an older release: its signature is valid, and its faults are known.
refuse_older() {
  # Without its own version, the script cannot compare.
  case $version in @*) return 0 ;; esac
  found=$(run sed -n '1s/^\([0-9A-Za-z.+-]*\)$/\1/p' "$work/release/VERSION" 2>/dev/null) || found=
  [ -n "$found" ] || fail 76 "$archive names no version, so it is older than $version: nothing was installed"
  # A release candidate sorts before its release as "1.2.3~rc.1".
  oldest=$(printf '%s\n%s\n' "$version" "$found" | run sed 's/-/~/' | run sort -V | run sed -n '1p;q' | run sed 's/~/-/')
  [ "$oldest" = "$version" ] ||
    fail 76 "$shown has version $found, older than this script's $version: nothing was installed. To go back, use the install.sh of $found"
}

main "$@"
