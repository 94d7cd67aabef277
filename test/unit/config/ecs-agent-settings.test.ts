import { expect, test } from 'vitest';
import { parseConfig } from '../../../config/config.ts';
import { warnOfMisspeltSettings } from '../../../config/ecs-agent-settings.ts';
import { openLog, type Entry } from '../../../core/log.ts';

test.each([
  ['ECS_RESERVED_MEMRY', 'did you mean ECS_RESERVED_MEMORY?'],
  ['ECS_ENABLE_SPOT_INSTANCE_DRAIING', 'did you mean ECS_ENABLE_SPOT_INSTANCE_DRAINING?'],
  ['ECS_RESERVED_MEMORY', undefined],
  ['ECS_RESERVED_PORTS', undefined],
  ['ECS_A_NEW_ONE_OF_NEXT_YEAR', undefined],
  ['COMPANY_VARIABLE', undefined],
])('the name %s is a near miss: %s', (name, remedy) => {
  const entries: Entry[] = [];
  const log = openLog(
    (entry) => void entries.push(entry),
    () => 0,
  );
  warnOfMisspeltSettings(parseConfig({ cluster: 'demo', ecs: { settings: { [name]: '[2]' } } }), log);
  expect(entries.map(({ fields }) => fields)).toEqual(
    remedy === undefined ? [] : [{ setting: `ecs.settings.${name}`, remedy }],
  );
});
