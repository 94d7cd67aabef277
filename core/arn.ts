/** Shortens an ARN to its last part, which is the name that people use. */

export function shortArn(arn: string): string {
  return arn.split('/').at(-1) ?? arn;
}
