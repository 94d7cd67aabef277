/**
 * The unit tests that StrykerJS does not run. scripts/mutate.ts asks them about survivors. The
 * table of faults reaches nearly every mutation and is slow. host/aws/fault.test.ts compares the
 * text of a source, which StrykerJS changes. The others change the user or the umask of the
 * process, which a thread of StrykerJS cannot.
 */
export const slowOrAlone = [
  'faults/table.test.ts',
  'host/aws/fault.test.ts',
  'host/files.test.ts',
  'host/processes.test.ts',
] as const;
