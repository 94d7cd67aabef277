/**
 * The one list of what a node cannot do without. Whatever else fails, the node goes on, or waits
 * and tries again.
 */

/**
 * Each of them takes an answer of AWS about this very node, or about what its launch template
 * names, that lasted. A missing permission, silence and an answer that is not AWS's never count:
 * the next node would meet the same. `docs/operations.md` has this list in words;
 * `test/unit/faults/table.md` shows what follows from each answer.
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
 * By verb of `Cloud`: the codes with which AWS itself refuses something essential. AWS documents
 * each of them for that call. Every other code of every other call keeps the node.
 */
export const lethalCodes: Readonly<Record<string, readonly string[]>> = {
  // OpsWorks gives no other reason for "this record cannot be in that layer".
  assign: ['ValidationException'],
  unassign: ['ValidationException'],
  // A node knows its cluster from its launch template. When that is mended, only new nodes have the
  // right name.
  readContainerInstance: ['ClusterNotFoundException'],
};

/** `ecs` says `ClusterNotFoundException`, query services leave the ending out. */
export function isLethal(verb: string, code: string | undefined): boolean {
  return code !== undefined && lethalCodes[verb]?.includes(code) === true;
}
