// Renders the policies of the examples in examples/: the output of `ecs-node policy` with the names
// of their cluster, group, account and region as variables.

import { parseConfig } from '../../config/config.ts';
import { ecsAgentPermissions, systemsManagerPermissions } from '../../iam/agent-permissions.ts';
import { fleetPolicy } from '../../iam/fleet-policy.ts';
import { policyFor, type Policy } from '../../iam/policy.ts';

const variables = ['partition', 'region', 'account', 'cluster', 'group'] as const;
type Variable = (typeof variables)[number];

/** A cluster's name must be valid, so a name stands for each variable at first. */
const standIn = (variable: Variable) => `the-${variable}`;

export function renderPolicies(): Record<string, string> {
  const scope = {
    partition: standIn('partition'),
    region: standIn('region'),
    account: standIn('account'),
    group: standIn('group'),
  };
  const cluster = standIn('cluster');
  const subject = { cluster, service: '*', apply: false };
  const policies: Record<string, Policy> = {
    'ecs-node': policyFor(parseConfig({ cluster, registrar: 'ssm', events: { bus: 'default' } }), scope),
    'ecs-agent': fleetPolicy(ecsAgentPermissions, subject, scope),
    'systems-manager': fleetPolicy(systemsManagerPermissions, subject, scope),
  };
  return Object.fromEntries(
    Object.entries(policies).flatMap(([name, policy]) => {
      const text = `${JSON.stringify(policy, undefined, 2)}\n`;
      return [
        [`examples/cdk/policies/${name}.json`, withVariables(text)],
        // Terraform would take IAM's own variables for its own. A replacement's "$$" is one "$".
        [`examples/terraform/policies/${name}.json.tftpl`, withVariables(text.replaceAll('${', '$$$${'))],
      ];
    }),
  );
}

function withVariables(text: string): string {
  return variables.reduce((done, variable) => done.replaceAll(standIn(variable), `\${${variable}}`), text);
}
