/** Which values may stand in /etc/ecs/ecs.config, which two programs read: systemd as an EnvironmentFile, ecs-init line by line. */

/** Why a value cannot be written so that both readers take it as it is; undefined when it can. */
export function faultOfValue(value: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return 'must be one line without control characters';
  if (/^\s|\s$/.test(value)) return 'must not begin or end with white space';
  // systemd takes quotes and backslashes away, ecs-init hands them to the agent.
  if (/^["']/.test(value)) return 'must not begin with a quote: systemd would remove it and ecs-init would not';
  if (value.includes('\\')) return 'must not contain a backslash: systemd would remove it and ecs-init would not';
  return undefined;
}
