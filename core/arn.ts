/** How people name what an ARN names: by its last part. */

export function shortArn(arn: string): string {
  return arn.split('/').at(-1) ?? arn;
}
