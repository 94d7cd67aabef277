/** Finds the signer of a request, and refuses in the wording of the request's protocol. */

import type { Key, Keyring } from '../iam/keyring.ts';
import { Refusal } from '../refusal.ts';
import type { Route, Wire } from './route.ts';
import { isCovered, isSignatureRight, parseAuthorization, skewMs, type SignedRequest } from './signature.ts';

type Reason = 'missing' | 'incomplete' | 'unknown' | 'expired' | 'wrong';

const family = (wire: Wire) => (wire === 'ec2' || wire === 'query' || wire === 's3' ? wire : 'json');

const codes: Record<Reason, Record<'ec2' | 'query' | 'json' | 's3', [string, number]>> = {
  missing: {
    ec2: ['MissingAuthenticationToken', 403],
    query: ['MissingAuthenticationToken', 403],
    json: ['MissingAuthenticationTokenException', 400],
    s3: ['AccessDenied', 403],
  },
  incomplete: {
    ec2: ['IncompleteSignature', 400],
    query: ['IncompleteSignature', 400],
    json: ['IncompleteSignatureException', 400],
    s3: ['AuthorizationHeaderMalformed', 400],
  },
  unknown: {
    ec2: ['AuthFailure', 401],
    query: ['InvalidClientTokenId', 403],
    json: ['UnrecognizedClientException', 400],
    s3: ['InvalidAccessKeyId', 403],
  },
  expired: {
    ec2: ['RequestExpired', 400],
    query: ['ExpiredToken', 403],
    json: ['ExpiredTokenException', 400],
    s3: ['ExpiredToken', 400],
  },
  wrong: {
    ec2: ['SignatureDoesNotMatch', 403],
    query: ['SignatureDoesNotMatch', 403],
    json: ['InvalidSignatureException', 400],
    s3: ['SignatureDoesNotMatch', 403],
  },
};

/** AWS accepts this difference between its clock and the caller's. */
const maxSkewMs = 300_000;

export interface AuthContext {
  keyring: Keyring;
  region: string;
  /** AWS's own time. The caller's may differ. */
  now(): number;
}

export function authenticate(request: SignedRequest, route: Route, { keyring, region, now }: AuthContext): Key {
  const refuse = (reason: Reason, message: string) => {
    const [code, status] = codes[reason][family(route.wire)];
    return new Refusal(code, message, status);
  };
  const authorization = parseAuthorization(request.headers);
  if (authorization === undefined) throw refuse('missing', 'Request is missing Authentication Token');
  if (authorization === null) throw refuse('incomplete', 'Authorization header is not a complete Signature Version 4');
  const key = keyring.find(authorization.accessKeyId);
  const invalid =
    route.wire === 'ec2'
      ? 'AWS was not able to validate the provided access credentials'
      : 'The security token included in the request is invalid.';
  if (!key || key.token !== authorization.token) throw refuse('unknown', invalid);
  if (key.expiresAt <= now()) throw refuse('expired', 'The security token included in the request is expired');
  const { signingName, id } = route.service;
  if (authorization.service !== signingName) {
    throw refuse('wrong', `Credential should be scoped to correct service: '${signingName}'.`);
  }
  // OpsWorks existed only in some regions, so a stack's region can differ from its endpoint's.
  if (authorization.region !== region && id !== 'opsworks' && id !== 'sts') {
    throw refuse('wrong', `Credential should be scoped to a valid region, not '${authorization.region}'.`);
  }
  if (Math.abs(skewMs(authorization, now())) > maxSkewMs) {
    throw refuse('wrong', `Signature expired: ${authorization.at} is not within 5 min. of the server's time`);
  }
  if (!isCovered(authorization, request.headers) || !isSignatureRight(request, authorization, key.secretAccessKey)) {
    throw refuse(
      'wrong',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  return key;
}
