/** Distinguishes OpsWorks's own ids of stacks, layers and instances from names. */

const id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The id in lower case, as OpsWorks writes it, in whatever case it was typed. Undefined for a name.
 */
export function parseOpsWorksId(text: string | undefined): string | undefined {
  const small = text?.toLowerCase() ?? '';
  return id.test(small) ? small : undefined;
}
