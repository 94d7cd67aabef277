/** The lifecycle hooks that a node completes unless the configuration names others: as the documents and the template call them. */

export const defaultLaunchHook = 'ecs-node-launch';
export const defaultTerminateHook = 'ecs-node-terminate';
