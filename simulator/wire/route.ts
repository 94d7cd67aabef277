/** Finds the service and operation of a request, and the form of the answer. */

import { applicationAutoscaling } from '../services/application-autoscaling.ts';
import { autoscaling } from '../services/autoscaling.ts';
import { elb, elbv2 } from '../services/balancers.ts';
import { cloudwatch, sts } from '../services/cloudwatch.ts';
import { ec2 } from '../services/ec2.ts';
import { ecs } from '../services/ecs/ecs.ts';
import { eventbridge, logs } from '../services/events.ts';
import { opsworks } from '../services/opsworks.ts';
import { fis, parseFis } from '../services/fis.ts';
import type { Service } from '../services/service.ts';
import { parseS3, s3 } from '../services/s3.ts';
import { ssm } from '../services/ssm.ts';
import { parseCbor } from './json.ts';
import { parseForm } from './query.ts';

export const services: readonly Service[] = [
  ec2,
  autoscaling,
  ecs,
  opsworks,
  ssm,
  s3,
  elbv2,
  elb,
  cloudwatch,
  sts,
  eventbridge,
  logs,
  applicationAutoscaling,
  fis,
];

export type Wire = 'ec2' | 'query' | 'json' | 'cbor' | 's3';

export interface Route {
  service: Service;
  operation: string;
  wire: Wire;
  /** The answer's type, such as `application/x-amz-json-1.0`. */
  contentType: string;
  /** Throws if the body does not match its content type. */
  parse(): unknown;
}

/** The only target that CloudWatch accepts beside its query protocol. */
const graniteTarget = 'GraniteServiceVersion20100801';

export interface Incoming {
  method: string;
  /** Path and query. */
  target: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Uint8Array;
}

/** Returns undefined if the request matches no service. */
export function findRoute({ method, target: line, headers, body }: Incoming): Route | undefined {
  // An S3 request carries no operation name. The scope of its signature identifies it.
  if (/\/s3\/aws4_request/.test(String(headers['authorization']))) return findS3Route(method, line, headers);
  const path = line.split('?')[0]!;
  if (/\/fis\/aws4_request/.test(String(headers['authorization']))) return findFisRoute(method, path, body);
  const cbor = /^\/service\/(\w+)\/operation\/(\w+)$/.exec(path);
  if (cbor) {
    if (cbor[1] !== graniteTarget) return undefined;
    const parse = () => (body.length === 0 ? {} : parseCbor(body));
    return { service: cloudwatch, operation: cbor[2]!, wire: 'cbor', contentType: 'application/cbor', parse };
  }
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return findJsonRoute(target, headers, body);
  const form = new URLSearchParams(Buffer.from(body).toString());
  const version = form.get('Version') ?? '';
  const operation = form.get('Action') ?? '';
  const service = services.find(
    (each) => (each.protocol === 'ec2' || each.protocol === 'query') && each.version === version,
  );
  if (!service) return undefined;
  const parse = () => parseForm(Buffer.from(body).toString());
  return { service, operation, wire: service.protocol as Wire, contentType: 'text/xml;charset=UTF-8', parse };
}

function findS3Route(method: string, line: string, headers: Incoming['headers']): Route | undefined {
  const meant = parseS3(method, line, headers);
  const contentType = 'application/xml';
  return meant && { service: s3, operation: meant.operation, wire: 's3', contentType, parse: () => meant.input };
}

function findFisRoute(method: string, path: string, body: Uint8Array): Route | undefined {
  const text = Buffer.from(body).toString() || '{}';
  const operation = parseFis(method, path, {})?.operation;
  const parse = () => parseFis(method, path, JSON.parse(text))?.input;
  return operation === undefined
    ? undefined
    : { service: fis, operation, wire: 'json', contentType: 'application/json', parse };
}

function findJsonRoute(target: string, headers: Incoming['headers'], body: Uint8Array): Route | undefined {
  const [prefix, operation = ''] = target.split('.');
  const parse = () => {
    const value: unknown = JSON.parse(Buffer.from(body).toString() || '{}');
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SyntaxError('not an object');
    return value;
  };
  const contentType = String(headers['content-type'] ?? 'application/x-amz-json-1.1');
  if (prefix === graniteTarget) return { service: cloudwatch, operation, wire: 'json', contentType, parse };
  const service = services.find((each) => each.protocol === 'json' && each.version === prefix);
  return service && { service, operation, wire: 'json', contentType, parse };
}
