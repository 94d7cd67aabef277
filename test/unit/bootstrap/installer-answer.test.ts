import { expect, test } from 'vitest';
import { judgeExit } from '../../../bootstrap/registrars/opsworks/installer-answer.ts';

const ruby = (message: string) => `Aws::OpsWorks::Errors::ValidationException: ${message}`;
const uncaught = (message: string) =>
  `/opt/aws/raise_response_errors.rb:15:in \`call': ${message} (Aws::OpsWorks::Errors::ValidationException)`;
const cli = (message: string) =>
  `An error occurred (ValidationException) when calling the RegisterInstance operation: ${message}`;
const json = (message: string) => JSON.stringify({ __type: 'ValidationException', message });
const stack = "\n\tfrom /opt/aws/param_converter.rb:20:in `call'\n\tfrom /opt/aws/request.rb:70:in `send_request'\n";

const judge = (tail: string, code = 1) => judgeExit({ code, tail }).kind;

test.each([ruby, uncaught, cli, json])('an answer of RegisterInstance is read in each form: %s', (render) => {
  for (const rest of ['', '\n', stack]) {
    expect(judge(`x\n${render('Hostname ecs-1 is already in use in this stack')}${rest}`)).toBe('hostname taken');
    expect(judge(`x\n${render('hostname ecs-1 is already taken')}${rest}`)).toBe('hostname taken');
    expect(judge(`x\n${render('Instance i-1 is already registered as r-1')}${rest}`)).toBe('already registered');
    expect(judge(`x\n${render('Hostname ecs_1 is invalid')}${rest}`)).toBe('refused');
  }
});

// As in a report about the AWS CLI: the answer has no message.
test('an answer without a message is a refusal', () => {
  const line = "/opt/aws/raise_response_errors.rb:15:in `call': Aws::OpsWorks::Errors::ValidationException";
  expect(judge(`opsworks-init: Starting the installer\n${line}${stack}`)).toBe('refused');
});

test('a missing permission is a refusal with its code', () => {
  expect(judgeExit({ code: 1, tail: 'Aws::OpsWorks::Errors::AccessDeniedException: no' })).toEqual({
    kind: 'refused',
    code: 'AccessDeniedException',
  });
});

test('a throttled call is no failure', () => {
  expect(judge('Aws::OpsWorks::Errors::ThrottlingException: Rate exceeded')).toBe('throttled');
  const ofCli = 'An error occurred (ThrottlingException) when calling the RegisterInstance operation: Rate exceeded';
  expect(judge(ofCli)).toBe('throttled');
  expect(judge('Aws::OpsWorks::Errors::ThrottlingException: Rate exceeded\ncurl: (6) no host')).toBe('failed');
});

test.each([
  '',
  'Aws::OpsWorks::Errors::ServiceUnavailable: 503',
  'Package hostname-3.23 is already installed.\nError: mirror timed out',
  'hostname-3.23 does not exist in the repository',
  'Hostname ecs-1 is already taken in this stack',
  'Instance i-1 is already registered',
  'repo already registered\nError: mirror timed out',
  'Some::Other::ValidationException: Hostname ecs-1 is already in use',
  `setting up: ${ruby('Hostname ecs-1 is already in use')}`,
  `${ruby('no')}\ncurl: (6) Could not resolve host`,
  '{"__type": half an answer',
])('other output is no answer about this request: %j', (tail) => {
  expect(judge(tail)).toBe('failed');
});

test('a killed installer has not ended with a refusal', () => {
  expect(judge(ruby('no'), 137)).toBe('failed');
});
