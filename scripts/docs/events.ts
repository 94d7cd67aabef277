// Renders docs/events/ from the schema of the events: one JSON Schema each, and a page.

import { toJSONSchema } from 'zod';
import { commonFields, detailSchema, eventFields, eventTypes, type EventType } from '../../core/events/event-schema.ts';
import { sentencesOf } from './configuration.ts';

interface Field {
  type?: string;
  enum?: readonly string[];
  const?: unknown;
  description?: string;
}

interface ObjectSchema {
  description?: string;
  properties: Readonly<Record<string, Field>>;
  required?: readonly string[];
}

export function renderEvents(): Record<string, string> {
  return {
    ...Object.fromEntries(eventTypes.map((type) => [`docs/events/${type}.schema.json`, renderSchema(type)])),
    'docs/events/README.md': renderPage(),
  };
}

function schemaOf(type: EventType): ObjectSchema {
  // The format says the same as zod's pattern of 300 characters.
  const override = ({ jsonSchema }: { jsonSchema: { format?: string; pattern?: string } }) => {
    if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
  };
  return toJSONSchema(detailSchema(type), { io: 'input', override }) as unknown as ObjectSchema;
}

function renderSchema(type: EventType): string {
  const { $schema, ...rest } = schemaOf(type) as ObjectSchema & { $schema: string };
  const title = `Detail of the event ${type} of ecs-node`;
  return `${JSON.stringify({ $schema, title, ...rest }, undefined, 2)}\n`;
}

const head = `<!-- Made by \`npm run docs\` from core/events/event-schema.ts. Change it there. -->

# Events

With \`events.bus\`, a node tells EventBridge what happens to it: one \`PutEvents\` call for each event, with the source \`ecs-node\`.
Each detail has a JSON Schema in this folder.
New fields and new events do not raise \`version\`: ignore what you do not know.

- An event follows its deed: the node has been drained when \`draining\` is sent.
- No deed waits for an event.
  The node sends it in the background, and tries again after about 1, 5, 30 and 120 minutes.
- An event lies in \`/var/lib/ecs-node/events\` until EventBridge has accepted it, and survives a crash or a reboot.
  It can therefore arrive twice, with the same \`id\`.
- A node that ends waits at most 3 seconds for its last event.
  A machine that loses its power, or is killed by EC2 at once, may take its last event with it.
- Texts are cut at 500 characters and lists at 50 items, and what looks like a secret is hidden.

A rule for departures of one cluster:

\`\`\`json
{ "source": ["ecs-node"], "detail-type": ["left"], "detail": { "cluster": ["prod"] } }
\`\`\`

[cloudformation/](../../cloudformation/README.md) keeps all events for 90 days in a log group, and \`ecs-node fleet --cluster NAME --history\` prints them.

`;

function renderPage(): string {
  const sections = eventTypes.map((type) => {
    const { description = '', properties } = schemaOf(type);
    const own = Object.keys(eventFields[type].shape);
    const fields = own.map((name) => renderField(name, properties[name]));
    return [`## ${type}`, '', ...sentencesOf(description), '', ...fields, ''].join('\n');
  });
  const { properties } = schemaOf('joined');
  const common = Object.keys(commonFields).map((name) => renderField(name, properties[name]));
  return `${head}## In every event\n\n${common.join('\n')}\n\n${sections.join('\n')}`;
}

function renderField(name: string, field: Field | undefined): string {
  const [first = '', ...rest] = sentencesOf(field?.description ?? '');
  return [`- \`${name}\`: ${first}`, ...rest.map((line) => `  ${line}`)].join('\n');
}
