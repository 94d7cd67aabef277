/** The AWS clients, with the credentials of the environment, and the waiting of all acts. */

import { setTimeout as sleep } from 'node:timers/promises';
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ECSClient } from '@aws-sdk/client-ecs';
import { SSMClient } from '@aws-sdk/client-ssm';
import { fromNodeProviderChain } from '@aws-sdk/credential-providers';
import type { Options } from './options.ts';

export interface Clients {
  autoScaling: AutoScalingClient;
  cloudWatch: CloudWatchClient;
  ec2: EC2Client;
  ecs: ECSClient;
  ssm: SSMClient;
}

export function openClients({ region, endpoint }: Pick<Options, 'region' | 'endpoint'>): Clients {
  // Describing thousands of times meets throttling, so the SDK retries more often than by default.
  const settings = {
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    maxAttempts: 8,
    credentials: fromNodeProviderChain(),
  };
  return {
    autoScaling: new AutoScalingClient(settings),
    cloudWatch: new CloudWatchClient(settings),
    ec2: new EC2Client(settings),
    ecs: new ECSClient(settings),
    ssm: new SSMClient(settings),
  };
}

export interface Waiting {
  waitMs: number;
  pollMs: number;
  signal: AbortSignal;
}

/** Polls until there is a result. Undefined: not in time. */
export async function poll<T>(
  { waitMs, pollMs, signal }: Waiting,
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  for (const end = performance.now() + waitMs; ;) {
    signal.throwIfAborted();
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() >= end) return undefined;
    await sleep(pollMs, undefined, { signal });
  }
}
