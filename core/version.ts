/** The version of this program. Undefined when it runs from its source. */

declare const __ECS_NODE_VERSION__: string | undefined;

/** Injected by the build. */
export const version = typeof __ECS_NODE_VERSION__ === 'string' ? __ECS_NODE_VERSION__ : undefined;
