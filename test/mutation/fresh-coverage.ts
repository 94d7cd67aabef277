/**
 * Stryker sends the coverage of a process after each test file. Where files share a process, each
 * would send the coverage of all files before it, too.
 */

interface Stryker {
  mutantCoverage?: { static: object; perTest: object };
}

const { mutantCoverage } = (globalThis as { __stryker__?: Stryker }).__stryker__ ?? {};
if (mutantCoverage !== undefined) Object.assign(mutantCoverage, { static: {}, perTest: {} });
