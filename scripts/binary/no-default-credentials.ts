// Replaces @aws-sdk/credential-provider-node in the bundle. ecs-node passes credentials to every
// client, so the default chain (SSO, ini files, login, processes, STS) would be 190 kB that never
// runs.

export const defaultProvider = () => async (): Promise<never> => {
  throw new Error('the default credential chain is not part of this program: pass `credentials` to the client');
};
