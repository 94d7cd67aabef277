/** Names of task definitions: FAMILY, FAMILY:REVISION, or an ARN of either. */

export function familyOf(name: string): string {
  return name.replace(/^.*task-definition\//, '').replace(/:\d+$/, '');
}

/** FAMILY:REVISION, the form that people use. */
export function shortDefinition(arn: string): string {
  return arn.replace(/^.*task-definition\//, '');
}

/** The number of the revision. Undefined for a family alone, which means its newest one. */
export function revisionNumber(name: string): number | undefined {
  const digits = /:(\d+)$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
