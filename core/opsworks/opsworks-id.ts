/**
 * What OpsWorks itself calls a stack, a layer or an instance, told from the names that people give.
 */

const id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The id as OpsWorks writes it, in small letters, however somebody has typed it; undefined for a
 * name.
 */
export function parseOpsWorksId(text: string | undefined): string | undefined {
  const small = text?.toLowerCase() ?? '';
  return id.test(small) ? small : undefined;
}
