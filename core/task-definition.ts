/** Names of task definitions: FAMILY, FAMILY:REVISION, or an ARN of either. */

export function familyOf(name: string): string {
  return name.replace(/^.*task-definition\//, '').replace(/:\d+$/, '');
}

/** FAMILY:REVISION, the form that people use. */
export function shortDefinition(arn: string): string {
  return arn.replace(/^.*task-definition\//, '');
}
