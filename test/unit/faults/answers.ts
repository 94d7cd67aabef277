/**
 * The answers that AWS, or a middlebox on the way to it, may give to a call, and the error that the
 * product makes of each over the wire.
 */

import { Refused } from '../../../core/errors.ts';
import type { Verb } from '../../../host/aws/child/verbs.ts';
import { readDocumentedErrors } from '../../../scripts/aws-errors.ts';
import { openAws } from '../host/aws/aws.ts';
import type { Reply } from '../host/local-server.ts';
import { calls, type Behind } from './calls.ts';

/** An answer by its name in the table, and what the real SDK with our translation throws for it. */
export interface Answered {
  answer: string;
  error: Error;
}

const page = '<html><body>Access to this site is blocked</body></html>';

/** EC2's model documents no errors: those of its reference that these calls may meet. */
const ec2Codes = [
  'IncorrectInstanceState',
  'InvalidParameterValue',
  'OperationNotPermitted',
  'TagLimitExceeded',
  'TagPolicyViolation',
  'UnsupportedOperation',
];

const general: Readonly<Record<string, (behind: Behind) => Reply>> = {
  AccessDenied: ({ refuse }) => refuse('AccessDenied'),
  throttled: ({ refuse }) => refuse('Throttling'),
  '5xx': () => ({ status: 503, body: '' }),
  HTML: () => ({ status: 403, body: page }),
  'HTML with 200': () => ({ status: 200, body: page }),
  redirect: () => ({ status: 302, headers: { location: 'http://portal.example' }, body: '' }),
  '404': () => ({ status: 404, body: '' }),
  '407': () => ({ status: 407, body: page }),
  '451': () => ({ status: 451, body: '' }),
  OptInRequired: ({ refuse }) => refuse('OptInRequired'),
  'unknown 4xx': ({ refuse }) => refuse('SomethingNobodyDocuments'),
};

/** Every answer of the list for this verb, through the real client. */
export async function answersTo(verb: Verb, signal: AbortSignal): Promise<Answered[]> {
  const behind = calls[verb];
  const found: Answered[] = [];
  for (const [answer, reply] of answersOf(behind)) {
    const { cloud } = await openAws((_asked, response) => {
      if (reply !== 'half') return reply;
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.destroy());
      return undefined;
    });
    const error = await behind.call(cloud, signal).then(
      () => undefined,
      (failure: unknown) => failure as Error,
    );
    // Some verbs read a documented answer as "there is none", which is no fault.
    if (error !== undefined) found.push({ answer, error });
    await cloud.close();
  }
  return found;
}

function answersOf(behind: Behind): [string, Reply | 'half'][] {
  const documented = readDocumentedErrors();
  const codes = new Set(behind.commands.flatMap((command) => errorsOf(documented, command)));
  return [
    ...[...codes].toSorted().map((code): [string, Reply] => [code, behind.refuse(code)]),
    ...Object.entries(general).map(([name, reply]): [string, Reply] => [name, reply(behind)]),
    ['half an answer', 'half'],
  ];
}

function errorsOf(documented: ReturnType<typeof readDocumentedErrors>, command: string): string[] {
  const errors = documented.get(command);
  if (errors === undefined) throw new Error(`no model says what ${command} answers: is it still called?`);
  return command.startsWith('ec2:') ? ec2Codes : errors.map(({ code }) => code);
}

/** Answers that the product cannot tell apart have the same kind. */
export function kindOf(error: Error): string {
  return error instanceof Refused ? `Refused ${error.code ?? ''}` : error.name;
}
