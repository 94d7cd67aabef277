import { expect, test } from 'vitest';
import { parseConfig } from '../../../config/config.ts';
import { ConfigError } from '../../../core/errors.ts';
import { registrarNames } from '../../../core/state/state.ts';
import { renderSchema } from '../../../commands/schema.ts';
import { readFileSync } from 'node:fs';

function problems(settings: unknown, sourceOf?: (path: string) => string | undefined): string[] {
  try {
    parseConfig(settings, sourceOf);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  throw new Error('it should have been refused');
}

/** The names of a section's settings, as a message lists them. */
function settingsOf(section: string): string {
  const { properties } = JSON.parse(renderSchema()) as { properties: Record<string, { properties: object }> };
  return Object.keys(properties[section]!.properties).join(', ');
}

test('only the cluster is required, and everything else has its documented default', () => {
  const config = parseConfig({ cluster: 'prod' });
  expect(config).toMatchObject({
    registrar: 'none',
    disk: { fullPercent: 90 },
    metrics: { namespace: 'System/Linux' },
  });
  expect(Object.isFrozen(config.disk.paths)).toBe(true);
});

test('every fault of every kind is reported at once, including rules across settings', () => {
  const found = problems({
    registrar: 'opsworks',
    disk: { fullPercent: 70, clearPercent: 75, checks: 1.5 },
    metrics: { enabled: 'yes' },
    colour: 'red',
    stormGuard: { firstWaitSeconds: 4000 },
  });
  expect(new Set(found.map((line) => line.split(':')[0]))).toEqual(
    new Set([
      'cluster',
      'colour',
      'disk.checks',
      'disk.clearPercent',
      'metrics.enabled',
      'opsworks.layer',
      'opsworks.stack',
      'stormGuard.firstWaitSeconds',
    ]),
  );
});

test('a rule is not reported for a value that is broken itself', () => {
  expect(problems({ cluster: 'a', disk: { fullPercent: 'much', clearPercent: 95 } })).toEqual([
    'disk.fullPercent: must be a number from 1 to 100; found "much"',
  ]);
  expect(problems({ cluster: 'a', registrar: 'opswork' })).toEqual([
    `registrar: must be one of ${registrarNames.join(', ')}; found "opswork"; did you mean opsworks?`,
  ]);
});

test.each([
  [
    { cluster: 'a', hostname: { cluster: null } },
    'hostname: must be text; found {"cluster":null}; text that begins with { needs quotes; write hostname: "{cluster}"',
  ],
  [
    { cluster: 'a', fullPercent: 85 },
    'fullPercent: unknown setting; it belongs to "disk": indent it, or write disk.fullPercent in --set',
  ],
  [
    { cluster: 'a', '\u00a0\u00a0fullPercent': 85 },
    '\u00a0\u00a0fullPercent: unknown setting; a non-breaking blank stands before its name; type a plain blank',
  ],
  [{ cluster: 12 }, 'cluster: must be text; found 12 (in YAML, text that looks like that needs quotes: "12")'],
  [{}, 'cluster: missing; it is required (--cluster NAME, or "cluster: NAME" in the configuration)'],
  [{ cluster: null }, 'cluster: is empty; it must be text, or left out'],
  [
    { cluster: 'no such name' },
    'cluster: must be a cluster name: 1 to 255 letters, digits, - or _; found "no such name"',
  ],
  [
    { cluster: 'a', bootstrap: { timeoutSeconds: 5 } },
    'bootstrap.timeoutSeconds: must be a whole number from 30 to 7200; found 5',
  ],
  [{ cluster: 'a', bootstrap: 5 }, `bootstrap: must be a section with ${settingsOf('bootstrap')}; found 5`],
  [{ cluster: 'a', disk: { prun: true } }, 'disk.prun: unknown setting; did you mean "prune"?'],
  [{ cluster: 'a', disk: { paths: ['data'] } }, 'disk.paths.0: must be an absolute path; found "data"'],
  [{ cluster: 'a', disk: { paths: '/data' } }, 'disk.paths: must be a list, such as [a, b]; found "/data"'],
  [
    { cluster: 'a', leave: { targetGroups: 'x'.repeat(65) } },
    `leave.targetGroups: must be a list, such as [a, b]; found "${'x'.repeat(65)}"`,
  ],
  [{ cluster: 'a', join: { checks: [{}] } }, 'join.checks.0: must have "command" or "url"; found {}'],
  [
    { cluster: 'a', join: { checks: [{ url: 'http://a/', timeoutSeconds: 0 }] } },
    'join.checks.0.timeoutSeconds: must be a whole number from 1 to 600; found 0',
  ],
  [
    { cluster: 'a', join: { checks: [{ command: ['/x'], url: 'http://a/' }] } },
    'join.checks.0.url: unknown setting; known here are command, timeoutSeconds',
  ],
  [
    { cluster: 'a', ecs: { settings: { ECS_CLUSTER: 'b' } } },
    'ecs.settings.ECS_CLUSTER: is set by the setting "cluster"; remove it here',
  ],
  [
    { cluster: 'a', ecs: { settings: { ECS_A: [1] } } },
    expect.stringMatching(
      /^ecs\.settings\.ECS_A: must be text, a number, or true or false; .* write ECS_A: '\[1\]'; found \[1\]$/,
    ),
  ],
  [
    { cluster: 'a', name: '{host}' },
    expect.stringMatching(/^name: unknown placeholder \{host\}; allowed are \{cluster\}/),
  ],
])('%j is refused with the allowed values', (settings, problem) => {
  const found = problems(settings);
  expect(found).toEqual([problem]);
});

test.each(['a\nECS_CLUSTER=other', 'a\0', '"quoted', "'quoted", 'ends in a backslash\\', ' padded'])(
  'a value that ecs.config cannot hold is refused: %j',
  (value) => {
    expect(problems({ cluster: 'a', ecs: { settings: { ECS_A: value } } })[0]).toMatch(/^ecs\.settings\.ECS_A: must/);
  },
);

test.each(['name', 'hostname'])('%s may hold no control character', (key) => {
  for (const text of ['a\u0000b', 'a\nb', 'a\u007Fb', 'a\u0085b']) {
    expect(problems({ cluster: 'prod', [key]: text })).toEqual([
      expect.stringMatching(new RegExp(`^${key}: must be one line without control characters; remove them`)),
    ]);
  }
  expect(parseConfig({ cluster: 'prod', [key]: 'Köln – {cluster} 🚀' })).toMatchObject({
    [key]: 'Köln – {cluster} 🚀',
  });
});

test('names of Object.prototype are unknown settings like others', () => {
  const settings = JSON.parse('{"cluster":"a","__proto__":{"x":1},"constructor":1}') as unknown;
  expect(problems(settings).map((line) => line.split(':')[0])).toEqual(['__proto__', 'constructor']);
});

test('a fault names the source of its value, and of the other value where it is a default', () => {
  const sourceOf = (path: string) => (path === 'disk.fullPercent' ? 'config.yaml:3' : undefined);
  expect(problems({ cluster: 'a', disk: { fullPercent: 75 } }, sourceOf)).toEqual([
    'disk.clearPercent: must be below disk.fullPercent (75); it is 80 (from config.yaml:3)',
  ]);
});

// A document was refused for a setting that its node seemed to allow.
test('a name in refresh.also that is no setting is refused', () => {
  const also = ['nope', 'leave', 'leave.drainSecond', 'ecs.settings.ECS_ANY', 'cluster.name'];
  expect(problems({ cluster: 'a', refresh: { also } })).toEqual([
    'refresh.also.0: unknown setting "nope"',
    'refresh.also.2: unknown setting "leave.drainSecond"; did you mean "leave.drainSeconds"?',
    'refresh.also.4: unknown setting "cluster.name"',
  ]);
});

test.each([null, [], 'text', 5])('%j is refused as a configuration', (settings) => {
  expect(problems(settings)[0]).toMatch(/^\(top level\): /);
});

test('config.schema.json matches this program; npm run schema writes it anew', () => {
  expect(readFileSync('config.schema.json', 'utf8')).toBe(renderSchema());
});

test.each([
  ['ECS_INSTANCE_ATTRIBUTES', '{stack: prod}', `write ECS_INSTANCE_ATTRIBUTES: '{"stack":"prod"}'`],
  ['ECS_INSTANCE_ATTRIBUTES', '{"stack":5}', `write ECS_INSTANCE_ATTRIBUTES: '{"stack":"5"}'`],
  ['ECS_INSTANCE_ATTRIBUTES', '{"a": 1.10}', `write ECS_INSTANCE_ATTRIBUTES: '{"a":"1.10"}'`],
  ['ECS_INSTANCE_ATTRIBUTES', '{1.10: 012, b: null}', `write ECS_INSTANCE_ATTRIBUTES: '{"1.10":"012","b":null}'`],
  ['ECS_INSTANCE_ATTRIBUTES', 'prod', `write ECS_INSTANCE_ATTRIBUTES: '{"rack":"a"}'`],
  ['ECS_CONTAINER_INSTANCE_TAGS', '{"a":"x","b":true}', `write ECS_CONTAINER_INSTANCE_TAGS: '{"a":"x","b":"true"}'`],
  ['ECS_CONTAINER_INSTANCE_TAGS', '["a"]', 'must be a JSON object of texts'],
  ['ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES', '10.0.0.0/8', `write ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES: '["10.0.0.0/8"]'`],
  ['ECS_AVAILABLE_LOGGING_DRIVERS', '["json"]', 'must be a JSON list of the log drivers json-file, syslog'],
  ['ECS_RESERVED_PORTS', '22', `write ECS_RESERVED_PORTS: '[22]'`],
  ['ECS_RESERVED_PORTS', 'ssh', `write ECS_RESERVED_PORTS: '[22,2375]'`],
  ['ECS_RESERVED_PORTS', '["22"]', `write ECS_RESERVED_PORTS: '[22]'`],
  ['ECS_INSTANCE_ATTRIBUTES', { rack: { row: 'a' } }, `such as ECS_INSTANCE_ATTRIBUTES: '{"rack":"a"}'`],
  ['ECS_RESERVED_MEMORY', { a: 1 }, `write ECS_RESERVED_MEMORY: '{"a":1}'`],
])(
  '%s: %j, at which the ECS agent would end or which it would ignore, is refused with the line that works',
  (name, value, told) => {
    expect(problems({ cluster: 'a', ecs: { settings: { [name]: value } } }).join('\n')).toContain(told);
  },
);

const elb = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:';

// Each of them was accepted, and the node stayed in its load balancer when it left.
test.each([
  ['targetGroups', `${elb}loadbalancer/app/web/0123456789abcdef`, 'aws elbv2 describe-target-groups'],
  ['targetGroups', `${elb}loadbalancer/web`, 'into leave.loadBalancers'],
  ['targetGroups', `${elb}listener/app/web/0123456789abcdef/0123456789abcdef`, 'must be the ARN of a target group'],
  ['targetGroups', `${elb}targetgroup/web`, 'must be the ARN of a target group'],
  ['targetGroups', 'arn:aws:elasticloadbalancing:', 'must be the ARN of a target group'],
  ['targetGroups', 'web', 'must be the ARN of a target group'],
  ['loadBalancers', `${elb}loadbalancer/web`, 'must be the name of a Classic Load Balancer'],
  ['loadBalancers', 'web.example', 'must be the name of a Classic Load Balancer'],
])('leave.%s: %s is refused with what belongs there', (setting, value, told) => {
  const found = problems({ cluster: 'a', leave: { [setting]: [value] } });
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(told);
  expect(found[0]).toContain(`leave.${setting}`);
});

test.each([`${elb}targetgroup/web/0123456789abcdef`, `${elb.replace('aws', 'aws-us-gov')}targetgroup/a-1/0`])(
  '%s is the ARN of a target group',
  (arn) => {
    const leave = { targetGroups: [arn], loadBalancers: ['my-web-1'] };
    expect(parseConfig({ cluster: 'a', leave })).toMatchObject({ leave });
  },
);

test.each([
  ['ECS_INSTANCE_ATTRIBUTES', '{"stack":"prod"}', '{"stack":"prod"}'],
  ['ECS_INSTANCE_ATTRIBUTES', ' { "a" : "b" }'.trim(), '{ "a" : "b" }'],
  ['ECS_INSTANCE_ATTRIBUTES', '', ''],
  ['ECS_INSTANCE_ATTRIBUTES', 'null', 'null'],
  ['ECS_INSTANCE_ATTRIBUTES', '{"a":null}', '{"a":null}'],
  ['ECS_INSTANCE_ATTRIBUTES', { rack: 'a', row: 5 }, '{"rack":"a","row":"5"}'],
  ['ECS_AVAILABLE_LOGGING_DRIVERS', ['json-file', 'awslogs'], '["json-file","awslogs"]'],
  ['ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES', ['10.0.0.0/8', 'fd00::/8'], '["10.0.0.0/8","fd00::/8"]'],
  ['ECS_ENGINE_AUTH_DATA', { 'https://r': { auth: 'x' } }, '{"https://r":{"auth":"x"}}'],
])('%s: %j is accepted, as the ECS agent reads it', (name, value, text) => {
  expect(parseConfig({ cluster: 'a', ecs: { settings: { [name]: value } } }).ecs.settings[name]).toBe(text);
});

interface SchemaNode {
  description?: string;
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
}

test('every setting has a description', () => {
  const missing: string[] = [];
  const visit = (path: string, node: SchemaNode) => {
    const shapes = [node, ...(node.items?.anyOf ?? [])];
    const below = shapes.flatMap(({ properties }) => Object.entries(properties ?? {}));
    if (node.properties === undefined && (node.description ?? '').length < 20) missing.push(path);
    for (const [name, inner] of below) visit(path === '' ? name : `${path}.${name}`, inner);
  };
  visit('', JSON.parse(renderSchema()) as SchemaNode);
  expect(missing).toEqual([]);
});
