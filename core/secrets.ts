/**
 * Recognises secrets, by the name of a setting and by the form of a value, so that no output, log,
 * tag or world-readable file has one.
 */

/** Stands in the place of a secret. */
export const hidden = '(hidden)';

const secretName =
  /PASSW(OR)?D|PASSPHRASE|PASSCODE|(^|_)PASS$|_PWD$|SECRET|TOKEN|AUTH_?DATA|CREDENTIAL|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY/i;

/** True for the name of a setting such as ECS_ENGINE_AUTH_DATA or HTTP_PASSWORD. */
export function isSecretName(name: string): boolean {
  return secretName.test(name);
}

/**
 * True where a setting with such a name has a value, or where a value looks like a secret: only
 * root may read that file.
 */
export function holdsSecret(yaml: string): boolean {
  const isNamed = [...yaml.matchAll(/([A-Za-z]\w*)["']?:[ \t]*[^\s#]/g)].some(([, name = '']) => isSecretName(name));
  return isNamed || redact(yaml) !== yaml;
}

/**
 * A quoted text to its closing quote, also where the quotes are escaped themselves; else one word.
 */
const value = String.raw`(?:\\"[^"]*"?|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'&,;\]}]+)`;

/** Each form of a secret, with what is told instead. The first group stays. */
const forms: readonly (readonly [pattern: RegExp, told: string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, hidden],

  // https://user:password@proxy, also where the password holds a slash or an @ that should have
  // been encoded. A port is none.
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s"'/:@]+:(?!\d{1,5}[/?#])[^\s"']*@(?=[\w.[-])/gi, `$1${hidden}@`],
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s"'/@]+@/gi, `$1${hidden}@`],
  // HTTP_PROXY=user:password@proxy:3128, as the ECS agent takes it.
  [/(proxy\w*\\?["']?\s*[=:]\s*\\?["']?)(?![a-z]+:\/\/)[^\s"'@/]+:[^\s"'@]+@/gi, `$1${hidden}@`],

  // Authorization: Bearer …, Basic …, Token …
  [/(authorization\\?["']?\s*[:=][ \t]*)(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],
  [/(\b(?:set-)?cookie[ \t]*:[ \t]*)(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],

  // "password": "…", AWS_SECRET_ACCESS_KEY=…, X-Amz-Signature=…
  [
    new RegExp(
      String.raw`([\w-]*(?:passw(?:or)?d|passphrase|passcode|secret|signature|auth_?data|private_?key|api[_-]?key)[\w-]*\\?["']?\s*[:=]\s*)${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],
  // token=…, "token": "…", X-Vault-Token: …; but not "api/token: 403".
  [
    new RegExp(
      String.raw`((?<![\w/-])(?:[\w-]*token\w*\s*=|\\?["'][\w-]*token\w*\\?["']\s*[:=]|[\w-]+[_-]token\s*:)\s*)${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],
  // "auth": "…" of a Docker configuration.
  [/(\\?["']auth\\?["']\s*:\s*)(?:\\"[^"]*"?|"[^"]*"?|'[^']*'?)/gi, `$1${hidden}`],

  // curl -u user:password, in one text or as items of a list; "-u 1000:1000" is a user and a group.
  [
    /((?:^|[\s"',[(])(?:-u|-U|--user|--proxy-user)\\?["']?[\s,=]+(?:-\s+)?\\?["']?(?!\d+:\d+\b)[^\s"':,]+:)[^\s"',\]]+/g,
    `$1${hidden}`,
  ],
  // --password …, --api-token …
  [
    new RegExp(
      String.raw`((?:^|[\s"',[(])--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key)[\w-]*\\?["']?[\s,]+(?:-\s+)?)(?!-|\()${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],

  // Tokens that say themselves what they are: JSON Web Tokens, and those of GitHub, GitLab, Slack,
  // npm and Stripe.
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g, hidden],
  [/\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|npm_|sk_live_|rk_live_)[\w-]{16,}/g, hidden],
  [/(\bhooks\.slack\.com\/services\/)[\w/-]+/g, `$1${hidden}`],
];

/** The text without what looks like a secret. */
export function redact(text: string): string {
  return forms.reduce((rest, [pattern, told]) => rest.replaceAll(pattern, told), text);
}

/** A value of a setting, as it may be told. */
export function tellable(name: string, text: string): string {
  if (isSecretName(name) && text !== '') return hidden;
  const told = redact(text);
  return /proxy/i.test(name) ? told.replace(/^(?![a-z]+:\/\/)[^\s/]+@/i, `${hidden}@`) : told;
}

/** Flags of a program whose next argument is a secret, as a whole or behind the user's name. */
const secretFlag = /^--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key)[\w-]*$/i;
const userFlag = /^(?:-u|-U|--user|--proxy-user)$/;

/**
 * Arguments of a program, as they may be told: a secret may stand in the argument behind its flag.
 */
export function tellableArguments(words: readonly string[]): string[] {
  return words.map((word, at) => {
    const before = words[at - 1] ?? '';
    if (secretFlag.test(before)) return hidden;
    if (userFlag.test(before) && !/^\d+:\d+$/.test(word)) return word.replace(/:.*$/s, `:${hidden}`);
    return redact(word);
  });
}
