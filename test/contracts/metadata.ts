/** The contract of `Metadata`, for every implementation. */

import { afterEach, describe, expect, test } from 'vitest';
import { Unavailable } from '../../core/errors.ts';
import type { MaintenanceEvent, Metadata, SpotNotice } from '../../core/host.ts';
import type { Identity } from '../../core/identity.ts';

/** One running instance, and the events that a test can cause on it. */
export interface MetadataStage {
  metadata: Metadata;
  /** The identity of the instance, as far as the stage knows it. */
  identity: Partial<Identity>;
  /** `undefined` switches the tags off. */
  setTags(tags: Record<string, string> | undefined): void | Promise<void>;
  /** Undefined if user data can only be set at the launch. */
  setUserData?: (text: string) => void;
  setSpotNotice(notice: Required<SpotNotice>): void;
  recommendRebalance(): void;
  schedule(event: Pick<MaintenanceEvent, 'code' | 'description'> & { notBefore: number }): void;
  setTargetState(state: string): void;
  /** Stops the service's answers. */
  fail(): void | Promise<void>;
  close(): Promise<void>;
}

const patient = new AbortController().signal;

export function describeMetadata(name: string, open: () => Promise<MetadataStage>): void {
  describe(`metadata: ${name}`, () => {
    let stage: MetadataStage | undefined;
    const node = async () => (stage = await open());
    afterEach(async () => stage?.close());

    test('knows the identity of the instance', async () => {
      const { metadata, identity } = await node();
      const read = await metadata.readIdentity(patient);
      expect(read).toMatchObject(identity);
      expect(read.instanceId).toMatch(/^i-[0-9a-f]{8,17}$/);
      expect(read.hostname).not.toContain('.');
    });

    test('an instance without events has no notices, no maintenance, no target state', async () => {
      const { metadata } = await node();
      expect(await metadata.readSpotNotice(patient)).toBeUndefined();
      expect(await metadata.readRebalanceNotice(patient)).toBeUndefined();
      expect(await metadata.readMaintenance(patient)).toEqual([]);
      expect(await metadata.readTargetState(patient)).toBeUndefined();
    });

    test('reads all tags or one tag; without InstanceMetadataTags there are none', async () => {
      const { metadata, setTags } = await node();
      await setTags({ Name: 'web 1', 'ecs-node:cluster': 'demo', empty: '' });
      expect(await metadata.readTags(patient)).toMatchObject({ Name: 'web 1', 'ecs-node:cluster': 'demo', empty: '' });
      expect(await metadata.readTag('ecs-node:cluster', patient)).toBe('demo');
      expect(await metadata.readTag('other', patient)).toBeUndefined();
      await setTags(undefined);
      expect(await metadata.readTags(patient)).toBeUndefined();
      expect(await metadata.readTag('Name', patient)).toBeUndefined();
    });

    test('user data are bytes, and absent on an instance without any', async () => {
      const { metadata, setUserData } = await node();
      expect(await metadata.readUserData(patient)).toBeUndefined();
      if (setUserData === undefined) return;
      setUserData('#!/bin/sh\necho ü\n');
      expect(new TextDecoder().decode(await metadata.readUserData(patient))).toBe('#!/bin/sh\necho ü\n');
    });

    test('a spot notice has an action and a time', async () => {
      const { metadata, setSpotNotice } = await node();
      // The service writes whole seconds.
      const at = Math.floor(Date.now() / 1000) * 1000 + 120_000;
      setSpotNotice({ action: 'terminate', at });
      const notice = await metadata.readSpotNotice(patient);
      expect(notice?.action).toBe('terminate');
      expect(Math.abs((notice?.at ?? 0) - at)).toBeLessThan(5_000);
    });

    test('a rebalance recommendation has a time', async () => {
      const { metadata, recommendRebalance } = await node();
      recommendRebalance();
      expect(Date.parse((await metadata.readRebalanceNotice(patient)) ?? '')).not.toBeNaN();
    });

    test('a maintenance event has a code, a time and a state', async () => {
      const { metadata, schedule } = await node();
      const notBefore = Date.UTC(2030, 0, 21, 9, 0, 43);
      schedule({ code: 'instance-retirement', description: 'The instance is on degraded hardware', notBefore });
      const [event, ...more] = await metadata.readMaintenance(patient);
      expect(more).toEqual([]);
      expect(event).toMatchObject({ code: 'instance-retirement', state: 'active', notBefore });
      expect(event?.id).not.toBe('');
    });

    test('the target state is the one that Auto Scaling sets', async () => {
      const { metadata, setTargetState } = await node();
      setTargetState('Terminated');
      expect(await metadata.readTargetState(patient)).toBe('Terminated');
    });

    test('a failing service is Unavailable, for every read', async () => {
      const { metadata, fail } = await node();
      await fail();
      const {
        readIdentity,
        readTags,
        readUserData,
        readSpotNotice,
        readRebalanceNotice,
        readMaintenance,
        readTargetState,
      } = metadata;
      const questions = [
        readIdentity,
        readTags,
        readUserData,
        readSpotNotice,
        readRebalanceNotice,
        readMaintenance,
        readTargetState,
      ];
      for (const ask of questions) await expect(ask(patient)).rejects.toThrow(Unavailable);
    });
  });
}
