/**
 * The folders of test/unit whose files share a process, and so the modules that it has loaded: the
 * AWS SDK, zod and the fakes. They need 73 s of CPU time instead of 127. Their subjects keep no
 * state in their modules, and run over an in-memory host (test/build/shared-units.test.ts).
 */
export const sharedUnits = [
  'agent',
  'bootstrap',
  'cli',
  'commands',
  'config',
  'core',
  'fakes',
  'fleet',
  'upkeep',
] as const;
