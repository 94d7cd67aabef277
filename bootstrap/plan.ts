/** The steps of a bootstrap, in order. */

import type { Config } from '../config/config.ts';
import type { Step } from './step.ts';
import { assign } from './steps/assign.ts';
import { containerEnvironment } from './steps/container-environment.ts';
import { ecsConfig } from './steps/ecs-config.ts';
import { hostname } from './steps/hostname.ts';
import { nameTag } from './steps/name-tag.ts';
import { ohaiHint } from './steps/ohai-hint.ts';
import { preflight } from './steps/preflight.ts';
import { register } from './steps/register.ts';
import { unprotect } from './steps/unprotect.ts';

export function plan(config: Config): Step[] {
  const opsworks = config.registrar === 'opsworks';
  return [
    preflight,
    ecsConfig,
    ...(opsworks ? [ohaiHint] : []),
    hostname,
    nameTag,
    // After `nameTag`: the file for containers holds the tags, and Name is one of them.
    ...(config.containerEnvironment.enabled ? [containerEnvironment] : []),
    register,
    ...(opsworks ? [assign] : []),
    // Last, because registering with OpsWorks turns termination protection on.
    unprotect,
  ];
}
