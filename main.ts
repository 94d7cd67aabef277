/**
 * Turns arguments and environment into a command, and its result into an exit code. Only this file
 * uses `process`, signals and the console.
 */

import type { CommandContext, Environment } from './cli/command.ts';

declare const __ECS_NODE_VERSION__: string | undefined;
declare const __ECS_NODE_COMMIT__: string | undefined;

/** The build injects it. A program that runs from its source has no version. */
const version = typeof __ECS_NODE_VERSION__ === 'string' ? __ECS_NODE_VERSION__ : '0.0.0-source';
const commit = typeof __ECS_NODE_COMMIT__ === 'string' ? __ECS_NODE_COMMIT__ : '';

const args = process.argv.slice(2);

// The caller may have any umask. New folders must be neither writable for all nor closed to all
// others.
process.umask(0o022);

// With this variable, Node.js would accept any certificate, and so any machine between this node
// and AWS. NODE_EXTRA_CA_CERTS is the way to trust a company's own authority.
const mayTrustAnybody = process.env['NODE_TLS_REJECT_UNAUTHORIZED'] !== undefined;
delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];

// Node.js opens its debugger on SIGUSR1, and any local user could then run code as root. The
// binary's own flag (scripts/binary/run-pkg.ts) closes that from the start, but then the signal
// would end the program. This listener keeps the program alive, and closes the debugger in Node.js
// itself.
process.on('SIGUSR1', () => {});

// Registered before the program writes anything.
process.stdout.on('error', (error) => process.exit(outputExitCode(error)));
// A failure to write the log must not end the agent.
process.stderr.on('error', () => {});

// Answered before anything is loaded: this frequent question must cost no more than the start of
// Node.js.
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) printVersion();
else void main();

function printVersion(): void {
  process.stdout.write(`ecs-node ${version}${commit === '' ? '' : ` (${commit})`}\n`);
}

async function main(): Promise<void> {
  const { openReport } = await import('./commands/report.ts');
  const report = await openReport(process.stderr, process.env, args, process.pid);
  if (mayTrustAnybody) report.log.warn('NODE_TLS_REJECT_UNAUTHORIZED is not heeded: certificates are always checked');
  process.on('uncaughtException', (error) => process.exit(report.fail(error)));
  process.on('unhandledRejection', (error) => process.exit(report.fail(error)));
  const root = new AbortController();
  const stopped = watchSignals(root);
  try {
    const code = await runCommand(root.signal, report);
    await written(process.stdout);
    // A full disk is known here before the stream emits its event.
    const failure = process.stdout.errored;
    process.exit(failure === null ? code : outputExitCode(failure));
  } catch (error) {
    process.exit(root.signal.aborted && error === root.signal.reason ? stopped.exitCode : report.fail(error));
  }
}

/**
 * A pipe takes 64 kB at a time. An earlier exit would lose the text that the reader has not taken
 * yet.
 */
async function written(output: NodeJS.WriteStream): Promise<void> {
  if (output.writableLength > 0) await new Promise<void>((resolve) => void output.write('', () => resolve()));
}

/** `ecs-node schema | head` is no failure. A full disk is one: exit code 74 (EX_IOERR). */
function outputExitCode(error: Error): number {
  if ('code' in error && error.code === 'EPIPE') return 0;
  process.stderr.write(`ecs-node: cannot write to standard output: ${error.message}\n`);
  return 74;
}

/** Undefined when the current folder was removed. */
function currentFolder(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

async function runCommand(
  signal: AbortSignal,
  { log, logFlags }: Pick<CommandContext, 'log' | 'logFlags'>,
): Promise<number> {
  const { parseLine } = await import('./cli/parse-line.ts');
  const { commandTable } = await import('./commands/table.ts');
  const line = await parseLine(commandTable, args);
  if (line.flags['version'] === true) {
    printVersion();
    return 0;
  }
  if (line.command === undefined || line.flags['help'] === true) {
    const { renderHelp } = await import('./cli/render-help.ts');
    process.stdout.write(renderHelp(commandTable, line.command));
    return 0;
  }
  const { ConfigError } = await import('./core/errors.ts');
  const { openCommandContext, withRealPaths } = await import('./commands/open-command-context.ts');
  const run = await line.command.load();
  const context = openCommandContext(line, {
    environment: ownEnvironment(),
    folder: currentFolder(),
    self: { file: process.execPath, args: sourceArguments() },
    openInput: () => process.stdin,
    output: process.stdout,
    log,
    logFlags,
    table: commandTable,
    onHangup: (listener) => void process.on('SIGHUP', listener),
  });
  try {
    return await run(context, line, signal);
  } catch (error) {
    throw error instanceof ConfigError ? withRealPaths(error, context.root) : error;
  }
}

/**
 * The SDK's credential provider reads this variable. It then never calls version 1 of the metadata
 * service either.
 */
function ownEnvironment(): Environment {
  process.env['AWS_EC2_METADATA_V1_DISABLED'] = 'true';
  return process.env;
}

/**
 * Arguments with which Node.js runs this program from its source. A single executable needs none.
 */
function sourceArguments(): string[] {
  const [, script] = process.argv;
  const isSource = script !== undefined && script !== process.execPath && /\.[cm]?[jt]s$/.test(script);
  return isSource ? [...process.execArgv, script] : [];
}

/** The first signal ends the command in good order, the second at once. */
function watchSignals(root: AbortController): { exitCode: number } {
  const stopped = { exitCode: 0 };
  for (const [name, number] of [
    ['SIGTERM', 15],
    ['SIGINT', 2],
  ] as const) {
    process.on(name, () => {
      if (root.signal.aborted) process.exit(128 + number);
      stopped.exitCode = 128 + number;
      root.abort(new Error(`stopped by ${name}`));
    });
  }
  return stopped;
}
