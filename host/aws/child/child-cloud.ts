/**
 * AWS through a short-lived child of the same binary, one JSON line per call: what a resident
 * process calls every few minutes would cost it 20 MB for good (docs/decisions/0002). This side
 * loads nothing of the SDK.
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
import { openCalls, parseReply, type Calls } from './calls.ts';
import { readLines } from './lines.ts';
import { cloudOf } from './verbs.ts';

/** Calls come in groups (a watcher's round, a departure); after such a pause the group is over. */
const idleMs = 10_000;

/**
 * What the child may know of the environment: AWS's own variables, the proxy's, and which
 * certificates to trust.
 */
const passedOn = /^(AWS_.+|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR|(https?|no)_proxy|(HTTPS?|NO)_PROXY)$/;

/**
 * Throws a ConfigError as `openCloud` does. `execPath args…` must run `serveCloud` on its standard
 * streams.
 */
export function openChildCloud(execPath: string, args: readonly string[], environment: Environment, log: Log): Cloud {
  mustBeSafeEndpoints(environment);
  // The child would refuse a wrong proxy, too, but only at the first call.
  parseProxy(environment);
  let child: Child | undefined;
  const current = (): Child => {
    if (child?.isOpen() !== true) child = startChild(execPath, args, environment, log);
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
  /** It answers what it still has to, and ends. */
  end(): void;
}

function startChild(execPath: string, args: readonly string[], environment: Environment, log: Log): Child {
  const child = spawn(runningFile(execPath), args, {
    env: childEnvironment(environment),
    stdio: ['pipe', 'pipe', 'inherit'],
    // Away from the terminal's group: Ctrl-C is for us, who may still want to tell AWS something.
    detached: true,
  });
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
      // Ended from here and not by the child itself: a call could otherwise meet it in its last
      // moment and be lost.
      if (count === 0 && isOpen) idle = setTimeout(end, idleMs).unref();
    },
  });
  child.on('error', (error) => die(`the child that speaks to AWS cannot run: ${messageOf(error)}`));
  // Not `exit`: its last answers may still be on their way.
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

/** Only calls that wait for an answer may keep the parent alive. */
function keepProcessAlive(child: ChildProcessByStdio<Writable, Readable, null>, isNeeded: boolean): void {
  for (const part of [child, child.stdin, child.stdout] as { ref?(): void; unref?(): void }[]) {
    if (isNeeded) part.ref?.();
    else part.unref?.();
  }
}
