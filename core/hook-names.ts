/**
 * The lifecycle hooks that a node completes unless the configuration names others. The documents
 * and the template use the same names.
 */

export const defaultLaunchHook = 'ecs-node-launch';
export const defaultTerminateHook = 'ecs-node-terminate';
