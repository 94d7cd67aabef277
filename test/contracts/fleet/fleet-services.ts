/** The contract of FleetServices: the fake, and the real one before the simulator and moto. */

import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Refused } from '../../../core/errors.ts';
import type { FleetServices } from '../../../core/fleet/fleet-services.ts';

/**
 * A cluster `demo` with this number of ACTIVE container instances, and a service `web` whose
 * deployment has completed.
 */
export interface FleetServicesStage {
  services: FleetServices;
  registerScalableTarget(min: number, max: number): Promise<void>;
  close(): Promise<void>;
}

export type OpenFleetServices = (instances: number, desired: number) => Promise<FleetServicesStage>;

const patient = new AbortController().signal;

export function describeFleetServices(
  name: string,
  open: OpenFleetServices,
  gaps: Readonly<Record<string, string>> = {},
): void {
  const stage = async (instances = 2, desired = 1) => {
    const opened = await open(instances, desired);
    onTestFinished(() => opened.close());
    return opened;
  };

  describe(`fleet services: ${name}`, () => {
    beforeEach(({ task, skip }) => skip(task.name in gaps, gaps[task.name]));

    test('counts container instances by state', async () => {
      const { services } = await stage(2);
      expect(await services.countInstances('demo', patient)).toEqual({
        status: 'ACTIVE',
        registered: 2,
        draining: 0,
        active: 2,
        connected: 2,
      });
    });

    test('describes a service with one completed deployment', async () => {
      const { services } = await stage(2, 1);
      const view = await services.readService('demo', 'web', patient);
      expect(view).toMatchObject({ status: 'ACTIVE', scheduling: 'REPLICA', controller: 'ECS', desired: 1 });
      expect(view!.deployments).toHaveLength(1);
      expect(view!.deployments[0]!.status).toBe('PRIMARY');
    });

    test('knows no service by another name', async () => {
      const { services } = await stage();
      expect(await services.readService('demo', 'wbe', patient)).toBeUndefined();
    });

    test('sets the desired count, any number of times, and leaves the rest of the service as it is', async () => {
      const { services } = await stage(2, 1);
      const before = await services.readService('demo', 'web', patient);
      expect(await services.setDesiredCount('demo', 'web', 3, patient)).toBe(3);
      expect(await services.setDesiredCount('demo', 'web', 3, patient)).toBe(3);
      const after = await services.readService('demo', 'web', patient);
      const rest = ({ status, scheduling, controller }: NonNullable<typeof before>) => [status, scheduling, controller];
      expect(rest(after!)).toEqual(rest(before!));
      expect(after).toMatchObject({ desired: 3, deployments: [{ status: 'PRIMARY' }] });
    });

    test('knows whether Application Auto Scaling sizes the service', async () => {
      const { services, registerScalableTarget } = await stage();
      expect(await services.readScalingTarget('demo', 'web', patient)).toBeUndefined();
      await registerScalableTarget(2, 9);
      expect(await services.readScalingTarget('demo', 'web', patient)).toEqual({ min: 2, max: 9 });
      expect(await services.readScalingTarget('demo', 'other', patient)).toBeUndefined();
    });

    test('refuses a missing cluster and a missing service', async () => {
      const { services } = await stage();
      await expect(services.countInstances('dmeo', patient)).rejects.toThrow(Refused);
      await expect(services.setDesiredCount('demo', 'wbe', 2, patient)).rejects.toThrow(Refused);
    });
  });
}
