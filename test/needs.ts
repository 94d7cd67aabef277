// The tools that some suites need beyond Node and npm. The file's name names the tool:
// `cloud.moto.test.ts` needs moto.
//
// Without the tool, the suite is skipped with one visible line; with CI=true this is a failure
// (vitest.config.ts).
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, globSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

interface Need {
  isMet(): boolean;
  remedy: string;
}

const needs: Record<string, Need> = {
  prometheus: {
    isMet: () => spawnSync('python3', ['-c', 'import prometheus_client']).status === 0,
    remedy: 'pip install -r .ci/requirements.txt',
  },
  moto: { isMet: () => hasCommand('moto_server'), remedy: "pip install 'moto[server]'" },
  aemm: {
    isMet: () => hasCommand('amazon-ec2-metadata-mock'),
    remedy: 'put the folder on PATH that test/peers/get-metadata-mock.sh prints (needs Go)',
  },
  nspawn: {
    isMet: () => process.getuid?.() === 0 && ['systemd-nspawn', 'mmdebstrap', 'rpmbuild'].every(hasCommand),
    remedy: 'as root, apt-get install systemd-container mmdebstrap rpm',
  },
  cloudinit: {
    isMet: () => existsSync('/usr/lib/python3/dist-packages/cloudinit/user_data.py'),
    remedy: 'apt-get install cloud-init',
  },
  overlay: {
    isMet: () =>
      process.getuid?.() === 0 && ['unshare', 'curl', 'openssl', 'xz', 'bash', 'ip', 'ss', 'socat'].every(hasCommand),
    remedy: 'as root, apt-get install util-linux curl openssl xz-utils iproute2 socat',
  },
  netns: {
    isMet: () => process.getuid?.() === 0 && ['ip', 'ss', 'socat', 'openssl'].every(hasCommand),
    remedy: 'as root, apt-get install iproute2 socat openssl',
  },
  docker: {
    isMet: () => process.getuid?.() === 0 && ['dockerd', 'runc', 'unshare', 'mkfs.ext4', 'tar'].every(hasCommand),
    remedy: 'as root, apt-get install docker.io e2fsprogs util-linux',
  },
  fuse: {
    isMet: () => process.getuid?.() === 0 && existsSync('/dev/fuse') && hasCommand('python3'),
    remedy: 'as root, on a kernel with FUSE (modprobe fuse), apt-get install python3',
  },
  acl: {
    isMet: () => process.getuid?.() === 0 && ['setfacl', 'setpriv'].every(hasCommand),
    remedy: 'as root, on a file system with ACLs, apt-get install acl util-linux',
  },
  python: { isMet: () => hasCommand('python3'), remedy: 'apt-get install python3' },
  rpmbuild: { isMet: () => hasCommand('rpmbuild') && hasCommand('xz'), remedy: 'apt-get install rpm xz-utils' },
  cfn: {
    isMet: () => ['cfn-lint', 'moto_server', 'aws', 'parliament'].every(hasCommand),
    remedy: 'pip install -r .ci/requirements.txt',
  },
  cdk: {
    isMet: () => existsSync('examples/cdk/node_modules/aws-cdk-lib') && needs['cfn']!.isMet(),
    remedy: 'npm ci --prefix examples/cdk; pip install -r .ci/requirements.txt',
  },
  tofu: {
    isMet: () => ['tofu', 'hcl2json'].every(hasCommand) || isCached('tofu/bin/tofu'),
    remedy: 'test/examples/get-tofu.sh (needs Go)',
  },
  parliament: { isMet: () => hasCommand('parliament'), remedy: 'pip install parliament' },
  packer: {
    isMet: hasPacker,
    remedy: 'packer/get-packer.sh (needs Go), or install HashiCorp Packer and run "packer init packer"',
  },
  checkout: {
    isMet: () => hasPacker() && hasCommand('git'),
    remedy: 'what packer needs; apt-get install git',
  },
  groff: { isMet: () => hasCommand('groff'), remedy: 'apt-get install groff-base' },
  shellcheck: { isMet: () => hasCommand('shellcheck'), remedy: 'apt-get install shellcheck' },
  java: {
    isMet: () => ['java', 'javac', 'socat'].every(hasCommand),
    remedy: 'apt-get install default-jdk-headless socat',
  },
  image: {
    isMet: () => ['nspawn', 'packer', 'moto', 'rpmbuild'].every((need) => needs[need]!.isMet()) && hasCommand('aws'),
    remedy: 'what nspawn, packer, moto and rpmbuild need; pip install awscli',
  },
};

export interface MissingSuite {
  file: string;
  need: string;
  remedy: string;
}

/**
 * Returns the suites that cannot run here. Throws if a file's name has a need that this file does
 * not list.
 */
export function missingSuites(root = process.cwd()): MissingSuite[] {
  return globSync('test/**/*.*.test.ts', { cwd: root }).flatMap((file) => {
    const need = file.split('.').at(-3)!;
    const found = needs[need];
    if (!found) throw new Error(`${file} needs "${need}", which test/needs.ts does not know`);
    return found.isMet() ? [] : [{ file, need, remedy: found.remedy }];
  });
}

function hasPacker(): boolean {
  return hasCommand('packer') || isCached('packer/bin/packer');
}

/** packer/get-packer.sh and test/examples/get-tofu.sh put programs outside PATH. */
function isCached(program: string): boolean {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return existsSync(join(cache, 'ecs-node', program));
}

function hasCommand(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
