/**
 * Calls AWS through a short-lived child of the same binary, one JSON line per call. A resident
 * process with the SDK would keep 20 MB for a call every few minutes (docs/decisions/0002). This
 * side loads nothing of the SDK.
 */

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { messageOf } from '../../../core/errors.ts';
import type { Cloud } from '../../../core/host.ts';
import type { Log } from '../../../core/log.ts';
import type { Environment } from '../../environment.ts';
import { mustBeSafeEndpoints } from '../../http/endpoint-safety.ts';
import { parseProxy } from '../../network/proxy.ts';
import { runningFile } from '../../running-file.ts';
import { startChild } from '../../start-child.ts';
import { openCalls, parseReply, type Calls } from './calls.ts';
import { readLines } from './lines.ts';
import { cloudOf } from './verbs.ts';

/** Calls come in groups (a watcher's round, a departure). After such a pause the group is over. */
const idleMs = 10_000;

/**
 * The environment of the child: AWS's own variables, those of the proxy, and those of trusted
 * certificates.
 */
const passedOn = /^(AWS_.+|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR|(https?|no)_proxy|(HTTPS?|NO)_PROXY)$/;

/**
 * Throws a ConfigError as `openCloud` does. `execPath args…` must run `serveCloud` on its standard
 * streams.
 */
export function openChildCloud(execPath: string, args: readonly string[], environment: Environment, log: Log): Cloud {
  mustBeSafeEndpoints(environment);
  // The child would also refuse a wrong proxy, but only at the first call.
  parseProxy(environment);
  let child: Child | undefined;
  const current = (): Child => {
    if (child?.isOpen() !== true) child = openChild(execPath, args, environment, log);
    return child;
  };
  return cloudOf(
    (verb) =>
      async (...given) => {
        const signal = given.at(-1) as AbortSignal;
        signal.throwIfAborted();
        return await current().calls.add(verb, given.slice(0, -1), signal);
      },
    async () => {
      child?.end();
      child = undefined;
    },
  );
}

interface Child {
  calls: Calls;
  isOpen(): boolean;
  /** The child answers its waiting calls, and ends. */
  end(): void;
}

function openChild(execPath: string, args: readonly string[], environment: Environment, log: Log): Child {
  const child = startChild(execPath, () =>
    spawn(runningFile(execPath), args, {
      env: childEnvironment(environment),
      stdio: ['pipe', 'pipe', 'inherit'],
      // In a process group of its own: Ctrl-C goes to this process only, which may still need the
      // child for a call.
      detached: true,
    }),
  );
  log.debug('started a child that speaks to AWS', { pid: child.pid });
  let isOpen = true;
  let idle: NodeJS.Timeout | undefined;
  const end = () => {
    isOpen = false;
    clearTimeout(idle);
    child.stdin.end();
  };
  const die = (why: string) => {
    end();
    child.kill('SIGKILL');
    calls.failAll(why);
  };
  const calls = openCalls({
    send: (message) => void (isOpen && child.stdin.write(`${JSON.stringify(message)}\n`)),
    onSilence: (verb) => die(`the child that speaks to AWS does not answer ${verb}`),
    onCount(count) {
      clearTimeout(idle);
      keepProcessAlive(child, count > 0);
      // The parent ends the child. If the child ended itself, a call could reach it in its last
      // moment and be lost.
      if (count === 0 && isOpen) idle = setTimeout(end, idleMs).unref();
    },
  });
  child.on('error', (error) => die(`the child that speaks to AWS cannot run: ${messageOf(error)}`));
  // Not `exit`: the last answers may still be in the pipe.
  child.on('close', (code, by) => die(`the child that speaks to AWS ended (${by ?? `exit ${code}`})`));
  child.stdin.on('error', () => die('the child that speaks to AWS does not listen'));
  void readLines(child.stdout, (line) => {
    const reply = parseReply(line);
    if (reply) calls.deliver(reply);
    else die('the child that speaks to AWS says something that makes no sense');
  });
  return { calls, isOpen: () => isOpen, end };
}

function childEnvironment(environment: Environment): Record<string, string> {
  const kept = Object.entries(environment).filter(([name, value]) => passedOn.test(name) && value !== undefined);
  return { ...(Object.fromEntries(kept) as Record<string, string>), AWS_EC2_METADATA_V1_DISABLED: 'true' };
}

/** The child keeps the parent alive only while a call waits for an answer. */
function keepProcessAlive(child: ChildProcessByStdio<Writable, Readable, null>, isNeeded: boolean): void {
  for (const part of [child, child.stdin, child.stdout] as { ref?(): void; unref?(): void }[]) {
    if (isNeeded) part.ref?.();
    else part.unref?.();
  }
}
