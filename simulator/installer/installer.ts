/**
 * Serves the OpsWorks agent's installer: a script that registers its machine, and faulty variants
 * of it.
 */

import type { InstallerVariant } from '../settings.ts';
import { openRandom } from '../random.ts';
import { renderBeginning, renderTarball, type Entry } from './tarball.ts';

export interface InstallerUrls {
  /** The URL of the node's metadata service, without a path. */
  metadata: string;
  /** The URL for RegisterInstance. */
  register: string;
  /**
   * PEM. The real installer makes a key pair on the node, but a machine without openssl could not.
   */
  publicKey: string;
}

/** As the real installer's Ruby prints a refusal by OpsWorks. */
const refusal = 'Aws::OpsWorks::Errors::ValidationException: The instance cannot be registered with this stack';

const folder = 'opsworks-agent-installer';

/** Returns undefined if the download fails. */
export function renderInstaller(variant: InstallerVariant, urls: InstallerUrls): Buffer | undefined {
  const good = (script: string): Entry[] => [
    { name: `${folder}/`, mode: 0o755 },
    { name: `${folder}/boot-registration`, content: script, mode: 0o755 },
    { name: `${folder}/instance.pub`, content: urls.publicKey },
    { name: `${folder}/README`, content: 'Stand-in for the OpsWorks agent installer.\n' },
  ];
  const script = renderScript(urls);
  switch (variant) {
    case 'missing':
      return undefined;
    case 'no-archive':
      return Buffer.from('<html><body>Please sign in to the network.</body></html>\n');
    case 'traversal':
      return renderTarball([
        ...good(script),
        { name: `${folder}/../../evil`, content: 'outside\n' },
        { name: '../evil', content: 'outside\n' },
      ]);
    case 'symlink':
      return renderTarball([
        { name: `${folder}/`, mode: 0o755 },
        { name: `${folder}/out`, linkTo: '/tmp' },
        { name: `${folder}/out/evil`, content: 'outside\n' },
        { name: `${folder}/boot-registration`, linkTo: '/bin/true' },
      ]);
    case 'no-boot-registration':
      return renderTarball(good(script).filter(({ name }) => !name.endsWith('boot-registration')));
    case 'failing':
      return renderTarball(good('#!/bin/sh\necho "Failed to install dependencies" >&2\nexit 3\n'));
    case 'refused':
      return renderTarball(good(`#!/bin/sh\necho '${refusal}' >&2\nexit 1\n`));
    case 'hanging':
      return renderTarball(good('#!/bin/sh\necho "Waiting for the package lock"\nexec sleep 86400\n'));
    case 'large':
      return Buffer.concat([(payload ??= renderPayload()), renderTarball(good(script))]);
    case 'good':
      return renderTarball(good(script));
  }
}

let payload: Buffer | undefined;

/** As large as the real installer, 6.4 MB, with the files of a Ruby program and its gems. */
function renderPayload(): Buffer {
  const random = openRandom(1);
  const word = () => Math.floor(random.next() * 2 ** 40).toString(36);
  const words = Array.from({ length: 20_000 }, word);
  const line = () => Array.from({ length: 8 }, () => words[Math.floor(random.next() * words.length)]).join(' ');
  const files = Array.from({ length: 482 }, (_, number) => ({
    name: `${folder}/lib/file-${number}.rb`,
    content: Array.from({ length: 330 }, line).join('\n'),
  }));
  return renderBeginning(files);
}

/**
 * Does the same as the real installer, as far as an observer can see. The script uses any HTTP
 * client of the machine and needs no privileges. It reads only PATH from the environment, because
 * its caller passes it a clean one.
 */
function renderScript({ metadata, register }: InstallerUrls): string {
  return `#!/bin/sh
# Registers this machine: reads preconfig, proves its identity, asks for RegisterInstance.
set -eu
cd "$(dirname "$0")"
metadata='${metadata}'
register='${register}'

# request METHOD URL HEADER BODY-FILE: the answer's body on stdout; fails with it on stderr.
request() {
  if command -v curl >/dev/null 2>&1; then
    if [ -n "$4" ]; then set -- "$1" "$2" "$3" --data-binary "@$4"; else set -- "$1" "$2" "$3"; fi
    method=$1 url=$2 header=$3
    shift 3
    status=$(curl -sS -m 30 --noproxy '*' -o .answer -w '%{http_code}' -X "$method" -H "$header" "$@" "$url")
    if [ "$status" = 200 ]; then cat .answer; else cat .answer >&2; return 1; fi
  elif command -v python3 >/dev/null 2>&1; then
    python3 - "$@" <<'END'
import sys, urllib.request, urllib.error
method, url, header, body = sys.argv[1:5]
name, value = header.split(": ", 1)
data = open(body, "rb").read() if body else None
request = urllib.request.Request(url, data, {name: value, "Content-Type": "application/json"}, method=method)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    sys.stdout.write(opener.open(request, timeout=30).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())
END
  elif command -v node >/dev/null 2>&1; then
    node -e '
const [method, url, header, file] = process.argv.slice(1);
const [name, value] = header.split(": ");
const body = file && require("fs").readFileSync(file);
const request = require("http").request(url, { method, headers: { [name]: value } }, (answer) => {
  let text = "";
  answer.on("data", (data) => (text += data)).on("end", () => {
    if (answer.statusCode === 200) return process.stdout.write(text);
    process.stderr.write(text);
    process.exitCode = 1;
  });
});
request.on("error", (error) => { console.error(error.message); process.exitCode = 1; });
request.end(body || undefined);
' "$@"
  else
    echo 'neither curl nor python3 nor node is here' >&2
    return 1
  fi
}

setting() { sed -n "s/^:$1: *\\"\\{0,1\\}\\([^\\"]*\\)\\"\\{0,1\\} *\\$/\\1/p" preconfig; }
stack=$(setting stack_id)
hostname=$(setting hostname)
if [ -z "$stack" ]; then echo 'preconfig names no stack_id' >&2; exit 2; fi

token=$(request PUT "$metadata/latest/api/token" 'X-aws-ec2-metadata-token-ttl-seconds: 300' '')
get() { request GET "$metadata/latest/$1" "X-aws-ec2-metadata-token: $token" ''; }
umask 077
get dynamic/instance-identity/document >document
get dynamic/instance-identity/signature >signature

# Four parts, each ended by a line that no part can hold.
{
  printf '%s\\n--stack\\n%s\\n--hostname\\n' "$stack" "$hostname"
  cat document; printf '\\n--document\\n'
  cat signature; printf '\\n--signature\\n'
  cat instance.pub; printf '\\n--key\\n'
} >request
request POST "$register" 'Content-Type: text/plain' request
echo ' registered'
`;
}

/** Parses the body that the script sends, as the input of RegisterInstance. */
export function parseRegistration(body: string): Record<string, unknown> {
  const parts: Record<string, string> = {};
  let rest = body;
  for (const name of ['stack', 'hostname', 'document', 'signature', 'key']) {
    const end = rest.indexOf(`\n--${name}\n`);
    if (end < 0) throw new SyntaxError(`no part ${name}`);
    parts[name] = rest.slice(0, end);
    rest = rest.slice(end + name.length + 4);
  }
  return {
    StackId: parts['stack'],
    ...(parts['hostname'] !== '' && { Hostname: parts['hostname'] }),
    RsaPublicKey: parts['key'],
    RsaPublicKeyFingerprint: '00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff',
    InstanceIdentity: { Document: parts['document'], Signature: parts['signature'] },
  };
}
