/** Constants of every event, for code that must not load the schema. */

/** The `source` of every event. IAM policies and rules name it. */
export const eventSource = 'ecs-node';

/** A change that breaks a receiver raises it. New fields do not. */
export const eventVersion = 1;
