/**
 * The only list of the things that a node cannot do without. After every other failure the node
 * continues, or waits and tries again.
 */

/**
 * Each entry needs a lasting answer from AWS about this node, or about a name in its launch
 * template. A missing permission, silence and an answer that is not from AWS never count: the next
 * node would meet the same. `docs/operations.md` has this list in words.
 * `test/unit/faults/table.md` shows the result of each answer.
 */
export const essentials = {
  'opsworks-registration':
    'registrar opsworks: OpsWorks refuses this machine through its installer, and goes on refusing',
  'opsworks-record': 'registrar opsworks: OpsWorks says that the record of this node has failed or is gone',
  'opsworks-layer': 'registrar opsworks: OpsWorks refuses to assign this node to its layer, and goes on refusing',
  'registration-in-time':
    'registrar opsworks, or registration.required: the registrar answers, and does not see the node within bootstrap.timeoutSeconds',
  'right-cluster': 'ECS itself says that this instance is registered in another cluster than the configured one',
  'service-in-time': 'ECS answers, and the node is not in service within join.timeoutSeconds',
} as const satisfies Record<string, string>;

export type Essential = keyof typeof essentials;

/**
 * By verb of `Cloud`, or by the call of OpsWorks' installer: the codes with which AWS refuses
 * something essential. AWS documents each of them for that call. Every other code of every other
 * call keeps the node.
 */
export const lethalCodes: Readonly<Record<string, readonly string[]>> = {
  registerInstance: ['ValidationException'],
  // OpsWorks gives no other code for "this record cannot be in that layer".
  assign: ['ValidationException'],
  unassign: ['ValidationException'],
  // The launch template gives a node the name of its cluster. Only new nodes receive a corrected
  // name.
  readContainerInstance: ['ClusterNotFoundException'],
};

/** ECS sends `ClusterNotFoundException`. AWS's query services omit the ending `Exception`. */
export function isLethal(verb: string, code: string | undefined): boolean {
  return code !== undefined && lethalCodes[verb]?.includes(code) === true;
}
