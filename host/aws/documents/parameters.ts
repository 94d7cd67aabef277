/** Documents as parameters of Systems Manager: each directly below one path is one. */

import { GetParametersByPathCommand, GetParametersCommand, SSMClient, type Parameter } from '@aws-sdk/client-ssm';
import type { RemoteDocument } from '../../../core/host.ts';
import type { DocumentSource } from './document-source.ts';
import type { Session } from '../session/session.ts';
import { maxDocuments, tooMany } from './document-limits.ts';

/** GetParameters takes so many names. */
const atOnce = 10;

export function openParameters({ identity, callAws, settings }: Session, path: string): DocumentSource {
  const client = new SSMClient(settings('SSM'));
  const arn = `arn:${identity.partition}:ssm:${identity.region}:${identity.accountId}:parameter${path}`;

  /** Encrypted values stay so: KMS is asked only for what has changed. */
  const list = async (signal: AbortSignal): Promise<Parameter[]> => {
    const found: Parameter[] = [];
    for (let NextToken: string | undefined, first = true; first || NextToken !== undefined; first = false) {
      const input = { Path: path, ...(NextToken !== undefined && { NextToken }) };
      const page = await callAws('ssm:GetParametersByPath', arn, signal, (options) =>
        client.send(new GetParametersByPathCommand(input), options),
      );
      found.push(...(page.Parameters ?? []));
      if (found.length > maxDocuments) throw tooMany(`ssm:${path}`);
      NextToken = page.NextToken || undefined;
    }
    return found;
  };
  const decrypt = async (names: readonly string[], signal: AbortSignal): Promise<Parameter[]> => {
    const found: Parameter[] = [];
    for (let at = 0; at < names.length; at += atOnce) {
      const input = { Names: names.slice(at, at + atOnce), WithDecryption: true };
      const { Parameters = [] } = await callAws('ssm:GetParameters', `${arn}/*`, signal, (options) =>
        client.send(new GetParametersCommand(input), options),
      );
      found.push(...Parameters);
    }
    return found;
  };

  return {
    destroy: () => client.destroy(),
    async read(known, signal) {
      const listed = await list(signal);
      const isKnown = (each: Parameter) => known[nameOf(each)] === versionOf(each);
      const secret = listed.filter((each) => each.Type === 'SecureString' && !isKnown(each));
      const decrypted = await decrypt(
        secret.flatMap(({ Name }) => Name ?? []),
        signal,
      );
      return listed.flatMap((each): RemoteDocument[] => {
        if (isKnown(each)) return [{ name: nameOf(each), version: versionOf(each) }];
        if (each.Type !== 'SecureString') return [documentOf(each)];
        // Deleted between the two calls: the next round finds it gone.
        return decrypted.filter(({ Name }) => Name === each.Name).map(documentOf);
      });
    },
  };
}

function documentOf(parameter: Parameter): RemoteDocument {
  return { name: nameOf(parameter), version: versionOf(parameter), text: parameter.Value ?? '' };
}

function nameOf({ Name = '' }: Parameter): string {
  return Name.slice(Name.lastIndexOf('/') + 1);
}

/** One that was deleted and made again counts from 1 again, so its date belongs to it. */
function versionOf({ Version, LastModifiedDate }: Parameter): string {
  return `${Version}@${LastModifiedDate?.toISOString() ?? ''}`;
}
