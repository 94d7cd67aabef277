/**
 * One service that answers whatever a test says, in the service's own wire format, to the real
 * client.
 */

import type { Cloud } from '../../../../core/host.ts';
import { openLog, type Entry } from '../../../../core/log.ts';
import { openCloud } from '../../../../host/aws/open.ts';
import { someIdentity } from '../../../fakes/metadata.ts';
import { serve, type Answer, type LocalServer } from '../local-server.ts';

export const self = someIdentity.instanceId;

export const keys = {
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_SESSION_TOKEN: 'canary-session-token',
};

export interface Aws {
  cloud: Cloud;
  server: LocalServer;
  log: Entry[];
  /** The operations called, as `Action` or the JSON target's last part. */
  calls(): string[];
  /** The parameters of the last question: a form's fields, or JSON. */
  last(): Record<string, unknown>;
}

export async function openAws(answer: Answer, more: Record<string, string> = {}): Promise<Aws> {
  const server = await serve(answer);
  const log: Entry[] = [];
  const cloud = openCloud(
    someIdentity,
    { AWS_ENDPOINT_URL: server.url, ...keys, ...more },
    openLog((entry) => void log.push(entry), Date.now),
  );
  return {
    cloud,
    server,
    log,
    calls: () => server.asked.map(callOf),
    last() {
      const body = server.asked.at(-1)?.body ?? '';
      if (body.startsWith('{')) return JSON.parse(body) as Record<string, unknown>;
      return Object.fromEntries(new URLSearchParams(body));
    },
  };
}

export function callOf({ headers, body }: { headers: Record<string, unknown>; body: string }): string {
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return target.split('.').at(-1) ?? '';
  return new URLSearchParams(body).get('Action') ?? '';
}

/** How each protocol says no. */
export const wire = {
  ec2: (code: string, message = 'no', status = 400) => ({
    status,
    body: `<?xml version="1.0"?><Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors><RequestID>r</RequestID></Response>`,
  }),
  query: (code: string, message = 'no', status = 400) => ({
    status,
    body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
  }),
  json: (code: string, message = 'no', status = 400) => ({
    status,
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify({ __type: `com.amazonaws.service#${code}`, message }),
  }),
};

export const json = (body: object) => ({
  headers: { 'content-type': 'application/x-amz-json-1.1' },
  body: JSON.stringify(body),
});

export const query = (action: string, result: string) => ({
  headers: { 'content-type': 'text/xml' },
  body: `<${action}Response><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></${action}Response>`,
});
