/**
 * What must not be told: by the name of a setting, or by what stands in front of it in somebody's
 * output.
 */

/** What is told instead. */
export const hidden = '(hidden)';

const secretName = /PASSW(OR)?D|PASSPHRASE|SECRET|TOKEN|AUTH_?DATA|CREDENTIAL|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY/i;

/** True for the name of a setting such as ECS_ENGINE_AUTH_DATA or HTTP_PASSWORD. */
export function isSecretName(name: string): boolean {
  return secretName.test(name);
}

/** True where a setting with such a name has a value: nobody but root may read that file. */
export function holdsSecret(yaml: string): boolean {
  return [...yaml.matchAll(/([A-Za-z]\w*)["']?:[ \t]*[^\s#]/g)].some(([, name = '']) => isSecretName(name));
}

/** `https://user:password@proxy` */
const inUrl = /(\/\/)[^/\s:@"']*:[^/\s@"']+@/g;

/**
 * `X-Amz-Security-Token: …`, `"password": "…"`, `AWS_SECRET_ACCESS_KEY=…`, `Authorization: Bearer
 * …`
 */
const named =
  /([\w-]*(?:passw(?:or)?d|passphrase|secret|security-token|session_?token|signature|authorization|auth_?data|private_?key|api_?key)[\w-]*["']?\s*[:=]\s*["']?(?:bearer\s+|basic\s+)?)[^\s"'&,;]+/gi;

const key = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/** The text without what looks like a secret: for the output of programs that are not ours. */
export function redact(text: string): string {
  return text.replaceAll(key, hidden).replaceAll(inUrl, `$1${hidden}@`).replaceAll(named, `$1${hidden}`);
}

/** A value of a setting, as it may be told. */
export function tellable(name: string, value: string): string {
  return isSecretName(name) && value !== '' ? hidden : redact(value);
}
