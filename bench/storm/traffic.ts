/** Counts the calls to AWS by action, and how many of them AWS throttled. */

export interface Traffic {
  sent: Map<string, number>;
  throttled: Map<string, number>;
}

export function emptyTraffic(): Traffic {
  return { sent: new Map(), throttled: new Map() };
}

export function count(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}

export function total(map: ReadonlyMap<string, number>): number {
  return [...map.values()].reduce((sum, value) => sum + value, 0);
}

/** Returns the calls that AWS accepted. */
export function accepted({ sent, throttled }: Traffic): Map<string, number> {
  return new Map([...sent].map(([action, times]) => [action, times - (throttled.get(action) ?? 0)]));
}

export function copyTraffic({ sent, throttled }: Traffic): Traffic {
  return { sent: new Map(sent), throttled: new Map(throttled) };
}

/** Returns the calls since `before`. */
export function trafficSince(before: Traffic, now: Traffic): Traffic {
  const less = (a: Map<string, number>, b: Map<string, number>) =>
    new Map([...a].map(([action, times]) => [action, times - (b.get(action) ?? 0)]));
  return { sent: less(now.sent, before.sent), throttled: less(now.throttled, before.throttled) };
}

/** The calls of some nodes together. */
export interface Side {
  label: string;
  nodes: number;
  traffic: Traffic;
}

/** Returns all actions that one of the sides called. */
export function actionsOf(sides: readonly Side[]): string[] {
  const asked = sides.flatMap(({ traffic }) => [...traffic.sent].filter(([, times]) => times > 0));
  return [...new Set(asked.map(([action]) => action))].toSorted();
}

export function perNode({ traffic, nodes }: Side, action: string): { sent: number; answered: number } {
  const sent = traffic.sent.get(action) ?? 0;
  return { sent: sent / nodes, answered: (sent - (traffic.throttled.get(action) ?? 0)) / nodes };
}
