// The bill of materials, as CycloneDX: the packages in the binary, and the Node that runs them.
import { createHash } from 'node:crypto';

interface Locked {
  version: string;
  integrity?: string;
  license?: string;
}
export interface Lockfile {
  packages: Readonly<Record<string, Locked>>;
}

export interface Materials {
  version: string;
  epochSeconds: number;
  /** The files that the bundler put into the binary. */
  sources: readonly string[];
  /** Lockfile entries outside the bundle: the Node binaries. */
  runtimes: readonly string[];
  lock: Lockfile;
}

export function renderSbom({ version, epochSeconds, sources, runtimes, lock }: Materials): string {
  const packagePaths = new Set([...sources.flatMap((source) => packagePathOf(source) ?? []), ...runtimes]);
  const components = [...packagePaths].toSorted().map((packagePath) => renderComponent(packagePath, lock));
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([version, components]))}`,
    version: 1,
    metadata: {
      timestamp: new Date(epochSeconds * 1000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': `ecs-node@${version}`,
        name: 'ecs-node',
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
        purl: `pkg:generic/ecs-node@${version}`,
      },
    },
    components,
    dependencies: [{ ref: `ecs-node@${version}`, dependsOn: components.map((component) => component['bom-ref']) }],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/**
 * Turns "node_modules/@smithy/core/dist/index.js" into "node_modules/@smithy/core". The project's
 * own files belong to no package.
 */
function packagePathOf(source: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(source)?.[0];
}

function renderComponent(packagePath: string, lock: Lockfile) {
  const locked = lock.packages[packagePath];
  if (locked === undefined) throw new Error(`${packagePath} is in the binary but not in package-lock.json: run npm ci`);
  const name = packagePath.slice(packagePath.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const purl = `pkg:npm/${name.replace('@', '%40')}@${locked.version}`;
  const [algorithm, base64] = (locked.integrity ?? '').split(/-(.*)/s);
  return {
    type: 'library',
    'bom-ref': `${packagePath.replaceAll('node_modules/', '/').slice(1)}@${locked.version}`,
    name,
    version: locked.version,
    purl,
    ...(algorithm === 'sha512' && base64 !== undefined
      ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') }] }
      : {}),
    ...(locked.license === undefined ? {} : { licenses: [{ expression: locked.license }] }),
  };
}

/**
 * Returns a UUID of the contents (version 8, for custom rules): the same contents have the same
 * name.
 */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const variant = ((Number.parseInt(hex[16]!, 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
