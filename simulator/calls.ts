/** The log of every call, in the order in which the simulator answered them. */

export interface Call {
  /** When the request arrived, in milliseconds since 1970. */
  at: number;
  /** `ecs`, `ec2`, `imds` … */
  service: string;
  operation: string;
  /** The instance whose credentials signed the request; undefined for an operator. */
  instanceId: string | undefined;
  params: Record<string, unknown>;
  /** `ok`, an error code, or `cut`, `hang`, `refused`, `html`. */
  outcome: string;
  ms: number;
}

export interface CallLog {
  readonly list: readonly Call[];
  /** Returns the calls that have all the given fields. */
  find(which: Partial<Pick<Call, 'service' | 'operation' | 'instanceId' | 'outcome'>>): Call[];
  /**
   * Names such as `ecs:UpdateContainerInstancesState`, without metadata and introspection, for one
   * instance or for all.
   */
  names(instanceId?: string): string[];
  clear(): void;
  /** Returns a function that removes the listener. */
  listen(listener: (call: Call) => void): () => void;
}

/** The log drops its oldest calls: a day of a thousand polling nodes must not fill the memory. */
const maxCalls = 200_000;

export function openCallLog(): CallLog & { add(call: Call): void } {
  let list: Call[] = [];
  const listeners = new Set<(call: Call) => void>();
  return {
    get list() {
      return list;
    },
    add(call) {
      if (list.length >= maxCalls) list = list.slice(maxCalls / 2);
      list.push(call);
      for (const listener of listeners) listener(call);
    },
    find(which) {
      const wanted = Object.entries(which) as [keyof Call, unknown][];
      return list.filter((call) => wanted.every(([field, value]) => call[field] === value));
    },
    names(instanceId) {
      return list
        .filter((call) => call.service !== 'imds' && call.service !== 'introspection')
        .filter((call) => instanceId === undefined || call.instanceId === instanceId)
        .map(({ service, operation }) => `${service}:${operation}`);
    },
    clear() {
      list = [];
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
