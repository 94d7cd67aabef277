/**
 * Recognises secrets by the name of a setting and by the form of a value. It keeps them out of
 * output, logs, tags and world-readable files.
 */

/** The text that replaces a secret. */
export const hidden = '(hidden)';

const secretName =
  /PASSW(OR)?D|PASSPHRASE|PASSCODE|(^|_)PASS$|_PWD$|SECRET|TOKEN|AUTH_?DATA|CREDENTIAL|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY/i;

/** True for the name of a setting such as ECS_ENGINE_AUTH_DATA or HTTP_PASSWORD. */
export function isSecretName(name: string): boolean {
  return secretName.test(name);
}

/**
 * True when a setting with a secret name has a value, or when a value looks like a secret. Only
 * root may read such a file.
 */
export function holdsSecret(yaml: string): boolean {
  const isNamed = [...yaml.matchAll(/\b([A-Za-z]\w{0,100})["']?:[ \t]*[^\s#]/g)].some(([, name = '']) =>
    isSecretName(name),
  );
  return isNamed || redact(yaml) !== yaml;
}

/** A quoted text to its closing quote, also where the quotes are escaped; else one word. */
const value = String.raw`(?:\\"[^"]*"?|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'&,;\]}]+)`;

/**
 * Each form of a secret, with its replacement. The first group stays. Repetitions before the secret
 * are bounded and begin at a fixed word: otherwise a line of 60 kB takes a minute.
 */
const forms: readonly (readonly [pattern: RegExp, told: string])[] = [
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, hidden],

  // https://user:password@proxy, also where the password holds a slash or an @ that should have
  // been encoded. A port is no password.
  [/(:\/\/)[^\s"'/:@]{1,200}:(?!\d{1,5}[/?#])[^\s"']{0,500}@(?=[\w.[-])/g, `$1${hidden}@`],
  [/(:\/\/)[^\s"'/@]{1,500}@/g, `$1${hidden}@`],
  // HTTP_PROXY=user:password@proxy:3128, as the ECS agent takes it.
  [
    /(proxy\w{0,40}\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?)(?![a-z]{1,10}:\/\/)[^\s"'@/:]{1,200}:[^\s"'@]{1,500}@/gi,
    `$1${hidden}@`,
  ],

  // Authorization: Bearer …, Basic …, Token …
  [/(authorization\\?["']?\s{0,8}[:=][ \t]{0,8})(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],
  [/(\b(?:set-)?cookie[ \t]{0,8}:[ \t]{0,8})(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],

  // "password": "…", AWS_SECRET_ACCESS_KEY=…, X-Amz-Signature=…
  [
    new RegExp(
      String.raw`((?:passw(?:or)?d|passphrase|passcode|secret|signature|auth_?data|private_?key|api[_-]?key)[\w-]{0,40}\\?["']?\s{0,8}[:=]\s{0,8})${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],
  // token=…, "token": "…", X-Vault-Token: …; but not "api/token: 403".
  [
    new RegExp(
      String.raw`((?:(?<!\/)token\w{0,40}\s{0,8}=|["'][\w-]{0,60}token\w{0,40}\\?["']\s{0,8}[:=]|\w[_-]token\s{0,8}:)\s{0,8})${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],
  // "auth": "…" of a Docker configuration.
  [/(["']auth\\?["']\s{0,8}:\s{0,8})(?:\\"[^"]*"?|"[^"]*"?|'[^']*'?)/gi, `$1${hidden}`],

  // curl -u user:password, in one text or as items of a list; "-u 1000:1000" is a user and a group.
  [
    /((?:^|[\s"',[(])(?:-u|-U|--user|--proxy-user)\\?["']?[\s,=]{1,40}(?:-\s{1,8})?\\?["']?(?!\d{1,10}:\d{1,10}\b)[^\s"':,]{1,200}:)[^\s"',\]]+/g,
    `$1${hidden}`,
  ],
  // --password …, --api-token …
  [
    new RegExp(
      String.raw`((?:^|[\s"',[(])--?[\w-]{0,40}(?:passw(?:or)?d|passphrase|secret|token|api-?key)[\w-]{0,40}\\?["']?[\s,]{1,40}(?:-\s{1,8})?)(?!-|\()${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],

  // Tokens with a recognisable prefix: JSON Web Tokens, and those of GitHub, GitLab, Slack, npm and
  // Stripe.
  [/\beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{8,}/g, hidden],
  [/\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|npm_|sk_live_|rk_live_)[\w-]{16,}/g, hidden],
  [/(\bhooks\.slack\.com\/services\/)[\w/-]+/g, `$1${hidden}`],
];

/** The text without what looks like a secret. */
export function redact(text: string): string {
  return forms.reduce((rest, [pattern, told]) => rest.replaceAll(pattern, told), text);
}

/** The value of a setting, without a secret. */
export function tellable(name: string, text: string): string {
  if (isSecretName(name) && text !== '') return hidden;
  const told = redact(text);
  return /proxy/i.test(name) ? told.replace(/^(?![a-z]+:\/\/)[^\s/]+@/i, `${hidden}@`) : told;
}

/** Flags of a program whose next argument is a secret, or a user's name with a secret behind it. */
const secretFlag = /^--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key)[\w-]*$/i;
const userFlag = /^(?:-u|-U|--user|--proxy-user)$/;

/** Arguments of a program without secrets. A secret may be the argument after its flag. */
export function tellableArguments(words: readonly string[]): string[] {
  return words.map((word, at) => {
    const before = words[at - 1] ?? '';
    if (secretFlag.test(before)) return hidden;
    if (userFlag.test(before) && !/^\d+:\d+$/.test(word)) return word.replace(/:.*$/s, `:${hidden}`);
    return redact(word);
  });
}
