/** Names of task definitions: FAMILY, FAMILY:REVISION, or an ARN of either. */

export function familyOf(name: string): string {
  return name.replace(/^.*task-definition\//, '').replace(/:\d+$/, '');
}

/** FAMILY:REVISION, which is how people name it. */
export function shortDefinition(arn: string): string {
  return arn.replace(/^.*task-definition\//, '');
}
