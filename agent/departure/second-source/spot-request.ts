/** Asks EC2 about the spot request of this instance, and the metadata service about its notice. */

import { messageOf, Unavailable, unlessUnavailable } from '../../../core/errors.ts';
import type { Host } from '../../../core/host.ts';
import { openLasting } from '../../../core/lasting.ts';
import { retry } from '../../../core/retry.ts';
import { callOnce } from '../../calls.ts';
import type { Departure } from '../departure.ts';
import { spotNoticeMs } from '../order.ts';
import type { Answer } from './answer.ts';

/** The metadata service answers in milliseconds. */
export const metadataMs = 2_000;

/**
 * A notice that appears for seconds is not believed. 10 s are two checks at the slowest sensible
 * interval.
 */
const listedForMs = 10_000;

/**
 * The last 50 s before the departure's deadline: StopTask, the 30 s that a container has by
 * default, and some seconds to leave the load balancers first. A role without
 * ec2:DescribeSpotInstanceRequests, or a silent EC2, must not keep the tasks from stopping in
 * order. EC2 ends them then anyway, and a notice that was listed all the time until now was never
 * seen to be false. An EC2 that answers and does not take the instance has denied the notice.
 */
const lastMs = 50_000;

/**
 * Matches EC2's status codes, such as `marked-for-termination`, `instance-terminated-no-capacity`
 * and `instance-stopped-by-price`.
 */
export const isReclaimed = /^(marked-for|instance-(terminated|stopped))/;

export async function askSpotRequest(departure: Departure, signal: AbortSignal): Promise<Answer> {
  const { host } = departure;
  // A metadata service that is silent by now has announced it, and EC2 still knows.
  if ((await isNoticeListed(host, signal).catch(unlessUnavailable)) === false) return notListed;
  const elapsedMs = departure.elapsedMs();
  const totalMs = elapsedMs + departure.leftMs();
  if (elapsedMs < Math.min(listedForMs, totalMs / 3)) {
    return { agrees: undefined, words: `the notice has been listed for ${Math.round(elapsedMs / 1000)} s only` };
  }
  const isLast = departure.leftMs() <= lastMs;
  const lacksRequest = (departure.lacksSpotRequest ??= openLasting(host.clock, noRequestMs));
  try {
    const words = await readSpotStatus(host, isLast, signal);
    lacksRequest(false);
    if (isReclaimed.test(words)) return { agrees: true, words: `EC2: ${words}` };
    return { agrees: undefined, words: `EC2's spot request is ${words}`, deniesSpot: true };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof NoSpotRequest && lacksRequest(true))
      return { agrees: undefined, words: messageOf(error), deniesSpot: true };
    if (!isLast || departure.state.spotDeniedAt !== undefined) throw error;
  }
  return askNoticeAlone(departure, signal);
}

/** The tries took seconds, or longer where the process stood still, so the notice is read again. */
async function askNoticeAlone(departure: Departure, signal: AbortSignal): Promise<Answer> {
  if (!(await isNoticeListed(departure.host, signal))) return notListed;
  // EC2 takes the instance after two minutes. A notice that is listed for longer may be false.
  if (departure.elapsedMs() > spotNoticeMs) return { agrees: undefined, words: 'the notice has outlived its end' };
  const words = `the notice is still listed, ${Math.round(departure.leftMs() / 1000)} s before the end`;
  return { agrees: true, words };
}

const notListed: Answer = { agrees: false, words: 'the notice is no longer listed' };

export async function isNoticeListed(host: Host, signal: AbortSignal): Promise<boolean> {
  const read = (callSignal: AbortSignal) => host.metadata.readSpotNotice(callSignal);
  return (await callOnce(host, signal, read, metadataMs)) !== undefined;
}

/** EC2's silence counts near the end of the notice, but one lost answer is no silence. */
const lastTries = 3;

/** Short, so that all tries together leave 40 of the last 50 s to stop the tasks. */
const lastCallMs = 2_000;

/** False while EC2 is silent. */
export async function isTakenByEc2(host: Host, signal: AbortSignal): Promise<boolean> {
  const status = await readSpotStatus(host, true, signal).catch(() => undefined);
  signal.throwIfAborted();
  return status !== undefined && isReclaimed.test(status);
}

/** A spot instance always has a request, so a single answer without it is no answer. */
class NoSpotRequest extends Unavailable {}

/** An on-demand instance has no request. A true notice is confirmed as soon as EC2 shows one. */
const noRequestMs = 30_000;

export async function readSpotStatus(host: Host, isLast: boolean, signal: AbortSignal): Promise<string> {
  const read = async (callSignal: AbortSignal) => {
    const status = await host.cloud.readSpotStatus(callSignal);
    if (status === undefined) throw new NoSpotRequest('EC2 names no spot request of this instance');
    return status;
  };
  if (!isLast) return callOnce(host, signal, read);
  return retry((callSignal) => callOnce(host, callSignal, read, lastCallMs), {
    clock: host.clock,
    signal,
    withinMs: Infinity,
    maxAttempts: lastTries,
    pauseMs: 500,
  });
}
