/** Documents as parameters of Systems Manager: each directly below one path is a document. */

import { GetParametersByPathCommand, GetParametersCommand, SSMClient, type Parameter } from '@aws-sdk/client-ssm';
import { Unavailable } from '../../../core/errors.ts';
import type { RemoteDocument } from '../../../core/host.ts';
import type { DocumentSource } from './document-source.ts';
import type { Session } from '../session/session.ts';
import { chunks, pagesOf } from '../pages.ts';
import { parseList } from '../parse-list.ts';
import { maxDocuments, tooMany } from './document-limits.ts';

/** The maximum number of names in GetParameters. */
const atOnce = 10;

export function openParameters({ identity, callAws, settings }: Session, path: string): DocumentSource {
  const client = new SSMClient(settings('SSM'));
  const arn = `arn:${identity.partition}:ssm:${identity.region}:${identity.accountId}:parameter${path}`;

  /** Encrypted values stay encrypted in the list: only changed ones are decrypted with KMS. */
  const list = async (signal: AbortSignal): Promise<Parameter[]> => {
    const call = 'ssm:GetParametersByPath';
    const pages = pagesOf(async (NextToken) => {
      const page = await callAws(call, arn, signal, (options) =>
        client.send(new GetParametersByPathCommand({ Path: path, ...(NextToken && { NextToken }) }), options),
      );
      return { items: parseList(call, 'Parameters', page.Parameters), next: page.NextToken };
    });
    const found: Parameter[] = [];
    for await (const parameters of pages) {
      found.push(...parameters);
      if (found.length > maxDocuments) throw tooMany(`ssm:${path}`);
    }
    return found;
  };
  const decrypt = async (names: readonly string[], signal: AbortSignal): Promise<Parameter[]> => {
    const found: Parameter[] = [];
    for (const Names of chunks(names, atOnce)) {
      const input = { Names, WithDecryption: true };
      const answer = await callAws('ssm:GetParameters', `${arn}/*`, signal, (options) =>
        client.send(new GetParametersCommand(input), options),
      );
      const parameters = parseList('ssm:GetParameters', 'Parameters', answer.Parameters);
      const named = [...parameters.map(({ Name }) => Name), ...(answer.InvalidParameters ?? [])];
      const missing = input.Names.find((name) => !named.includes(name));
      if (missing !== undefined) throw new Unavailable(`ssm:GetParameters: the answer does not name ${missing}`);
      found.push(...parameters);
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
        // Deleted between the two calls. The next round no longer lists it.
        return decrypted.filter(({ Name }) => Name === each.Name).map(documentOf);
      });
    },
  };
}

/**
 * Systems Manager always sends these parts, and takes no empty value. An empty text would stay
 * until a person edits the parameter, because a known version is not read again.
 */
function documentOf(parameter: Parameter): RemoteDocument {
  const { Name, Type, Version, Value } = parameter;
  if (!Name || !Type || !Version || !Value)
    throw new Unavailable(`Systems Manager: half an answer about ${Name ?? 'a parameter'}`);
  return { name: nameOf(parameter), version: versionOf(parameter), text: Value };
}

function nameOf({ Name = '' }: Parameter): string {
  return Name.slice(Name.lastIndexOf('/') + 1);
}

/**
 * A parameter that was deleted and created again counts from 1 again, so the version includes its
 * date.
 */
function versionOf({ Version, LastModifiedDate }: Parameter): string {
  return `${Version}@${LastModifiedDate?.toISOString() ?? ''}`;
}
