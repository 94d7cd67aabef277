/** Renders answers and refusals in the form of each protocol. */

import type { Refusal } from '../refusal.ts';
import { renderCbor, renderJson } from './json.ts';
import { renderXml } from './query.ts';
import type { Answer } from './answer.ts';
import type { Route } from './route.ts';

export function renderAnswer(route: Route, output: object | void, requestId: string): Answer {
  const { service, operation, wire, contentType } = route;
  if (wire === 's3') {
    const answer = output as Answer;
    return { ...answer, headers: { ...answer.headers, 'x-amz-request-id': requestId } };
  }
  const headers: Record<string, string> = { 'content-type': contentType, 'x-amzn-requestid': requestId };
  if (wire === 'cbor') {
    headers['smithy-protocol'] = 'rpc-v2-cbor';
    return { status: 200, headers, body: renderCbor(output ?? {}) };
  }
  if (wire === 'json') return { status: 200, headers, body: output ? renderJson(output) : '' };
  const open = `<?xml version="1.0" encoding="UTF-8"?>\n<${operation}Response xmlns="${service.namespace}">`;
  const close = `</${operation}Response>`;
  if (wire === 'ec2') {
    return {
      status: 200,
      headers,
      body: `${open}<requestId>${requestId}</requestId>${renderXml(output, 'item')}${close}`,
    };
  }
  const result = output ? `<${operation}Result>${renderXml(output, 'member')}</${operation}Result>` : '';
  const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
  return { status: 200, headers, body: `${open}${result}${metadata}${close}` };
}

export function renderRefusal(route: Route, refusal: Refusal, requestId: string): Answer {
  const { wire, service } = route;
  const { code, message, status } = refusal;
  const headers: Record<string, string> = { 'content-type': route.contentType, 'x-amzn-requestid': requestId };
  if (wire === 'json' || wire === 'cbor') {
    const queryCompatible = service.protocol !== 'json';
    // The old error code travels in a header, because the new protocols put the shape's name into
    // the body.
    if (queryCompatible) headers['x-amzn-query-error'] = `${code};${status >= 500 ? 'Receiver' : 'Sender'}`;
    const type = queryCompatible ? `com.amazonaws.cloudwatch.v2010_08_01#${shapes[code] ?? code}` : code;
    const body = { __type: type, message, ...(service.id === 'ssm' && { Message: message }) };
    if (wire === 'json') return { status, headers, body: renderJson(body) };
    headers['smithy-protocol'] = 'rpc-v2-cbor';
    return { status, headers, body: renderCbor(body) };
  }
  const error = renderXml({ Code: code, Message: message }, 'item');
  if (wire === 's3') {
    const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${error}<RequestId>${requestId}</RequestId></Error>`;
    return { status, headers: { ...headers, 'x-amz-request-id': requestId }, body };
  }
  if (wire === 'ec2') {
    const body = `<Response><Errors><Error>${error}</Error></Errors><RequestID>${requestId}</RequestID></Response>`;
    return { status, headers, body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}` };
  }
  const type = status >= 500 ? 'Receiver' : 'Sender';
  const body = `<ErrorResponse xmlns="${service.namespace}"><Error><Type>${type}</Type>${error}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
  return { status, headers, body };
}

const shapes: Record<string, string | undefined> = {
  InvalidParameterValue: 'InvalidParameterValueException',
  InvalidParameterCombination: 'InvalidParameterCombinationException',
  MissingParameter: 'MissingRequiredParameterException',
  InternalServiceError: 'InternalServiceFault',
  Throttling: 'ThrottlingException',
  AccessDenied: 'AccessDeniedException',
};
