// Renders docs/configuration.md from the schema.

import { examples, listSections, type Section, type Setting } from './settings.ts';

const head = `<!-- Made by \`npm run docs\` from config/schema.ts. Change it there. -->

# Every setting

Settings live in \`/etc/ecs-node/config.yaml\` and \`/etc/ecs-node/config.d/*.yaml\`.
Only \`cluster\` is required.
\`ecs-node check\` prints the effective configuration, and where each value came from.

From the weakest to the strongest, values come from:

1. the defaults below
2. tags of the instance (\`ecs-node:cluster\`), as far as \`tags\` allows
3. a part of the user data
4. \`/etc/ecs-node/config.yaml\`
5. documents pulled from \`refresh.source\`
6. \`/etc/ecs-node/config.d/*.yaml\`, in the order of their names
7. flags of \`ecs-node configure\` and \`ecs-node bootstrap\`

A running agent takes over most changes without a restart, after \`systemctl reload ecs-node\` or by itself with \`refresh\`.
A setting marked "at the next boot" waits until then; \`ecs-node status\` lists the waiting settings.

`;

export function renderConfiguration(): string {
  return `${head}${listSections().map(renderSection).join('\n')}`;
}

function renderSection({ name, meaning, settings }: Section): string {
  return [`## ${name}`, '', ...sentencesOf(meaning), '', ...settings.flatMap(renderSetting)].join('\n');
}

function renderSetting(setting: Setting): string[] {
  const { path, meaning, type, standard, limits, atBoot } = setting;
  const example = examples[path];
  return [
    `### \`${path}\``,
    '',
    ...sentencesOf(meaning),
    '',
    `- Type: ${type}${limits === undefined ? '' : `, ${limits}`}`,
    `- Default: ${standard === undefined ? 'none' : `\`${standard}\``}`,
    `- Takes effect: ${atBoot ? 'at the next boot' : 'at once'}`,
    '',
    ...(example === undefined ? [] : ['```yaml', example, '```', '']),
  ];
}

/** Splits a text into one sentence a line, as in every document of this project. */
export function sentencesOf(text: string): string[] {
  return text.split(/(?<=[.!?]) (?=[A-Z])/);
}
