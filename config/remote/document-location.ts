/** Parses `refresh.source`, the location of the shared documents of the configuration. */

export type ConfigurationSource =
  /** The path without a slash at its end. */
  | { kind: 'ssm'; path: string }
  /** The prefix is empty, or ends in a slash: a folder. */
  | { kind: 's3'; bucket: string; prefix: string };

/** Undefined for a text that `refresh.source` does not allow. */
export function parseSource(text: string): ConfigurationSource | undefined {
  const path = /^ssm:(\/.*?)\/*$/.exec(text)?.[1];
  if (path !== undefined && path !== '/') return { kind: 'ssm', path };
  const [, bucket, rest = ''] = /^s3:\/\/([^/]+)\/*(.*?)\/*$/s.exec(text) ?? [];
  return bucket === undefined ? undefined : { kind: 's3', bucket, prefix: rest === '' ? '' : `${rest}/` };
}
