/**
 * Finds credentials for a command about a fleet: those of a person at a laptop, a build job, a
 * container or an instance.
 */

import { fromHttp, fromIni, fromInstanceMetadata, fromTokenFile } from '@aws-sdk/credential-providers';
import { Refused, messageOf } from '../../../core/errors.ts';
import type { Network } from '../../network/network.ts';
import type { Credentials } from './credentials.ts';
import { Transport } from './transport.ts';

/** Outside of EC2 no metadata service answers, and a person waits. */
const metadata = { timeout: 1_000, maxRetries: 1, ec2MetadataV1Disabled: true };

interface Source {
  name: string;
  /** The environment names this source, so no other may replace it. */
  isSaid: boolean;
  open(): () => Promise<Credentials>;
}

/** The first source that has credentials. Throws Refused when none has. */
export async function readPersonalCredentials(network: Network): Promise<Credentials> {
  const sources = sourcesIn(network);
  const said = sources.filter(({ isSaid }) => isSaid);
  const troubles: string[] = [];
  for (const { name, open } of said.length > 0 ? said.slice(0, 1) : sources) {
    try {
      return await open()();
    } catch (error) {
      troubles.push(`${name}: ${messageOf(error)}`);
    }
  }
  const way = 'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the instance a profile';
  throw new Refused(`no credentials: ${way} (${troubles.join('; ')})`, { code: 'NoCredentials' });
}

/** In the order of AWS's own tools. */
function sourcesIn(network: Network): Source[] {
  const { environment } = network;
  // STS and IAM Identity Center are reached in the same way as AWS itself.
  const clientConfig = { requestHandler: new Transport(network, 'STS') };
  const { AWS_PROFILE: profile, AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile } = environment;
  const container =
    environment['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'] ?? environment['AWS_CONTAINER_CREDENTIALS_FULL_URI'];
  const all: (Source | false)[] = [
    {
      name: 'shared profile',
      isSaid: Boolean(profile),
      open: () => fromIni({ ...(profile && { profile }), clientConfig }),
    },
    tokenFile !== undefined && { name: 'web identity', isSaid: true, open: () => fromTokenFile({ clientConfig }) },
    container !== undefined && { name: 'container', isSaid: true, open: () => fromHttp() },
    environment['AWS_EC2_METADATA_DISABLED'] !== 'true' && {
      name: 'instance profile',
      isSaid: false,
      open: () => fromInstanceMetadata(metadata),
    },
  ];
  return all.filter((source) => source !== false);
}
