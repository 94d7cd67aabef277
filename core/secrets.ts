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
const forms: readonly (readonly [pattern: RegExp, told: string | ((all: string, ...groups: string[]) => string)])[] = [
  [
    /-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g,
    hidden,
  ],

  // HTTP_PROXY: http://user:password@proxy, or user:password@proxy:3128, as the ECS agent takes it.
  // The URL of a proxy has no path, so all before the last @ is the user and the password.
  [
    /(proxy\w{0,40}\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?(?:[a-z][a-z0-9+.-]{0,10}:\/\/)?)(?!\(hidden\)|[a-z][a-z0-9+.-]{0,10}:\/\/)[^\s"@/:]{1,200}:[^\s"]{1,2000}@(?=[\w.[-])/gi,
    `$1${hidden}@`,
  ],
  // https://user:password@proxy, also where the password holds a slash or an @ that should have
  // been encoded. A port is no password.
  [/(:\/\/)[^\s"'/:@]{1,200}:(?!\d{1,5}(?:[/?#'",;)\]}\s]|$))[^\s"]{0,2000}@(?=[\w.[-])/g, `$1${hidden}@`],
  [/(:\/\/)[^\s"'/@]{1,2000}@/g, `$1${hidden}@`],

  // Authorization: Bearer …, Basic …, Token …
  [/(authorization\\?["']?\s{0,8}[:=][ \t]{0,8})(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],
  [/(\b(?:set-)?cookie[ \t]{0,8}:[ \t]{0,8})(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],

  // password: two words, as YAML takes it.
  [
    /^([ \t]{0,40}(?:- )?[\w.-]{0,60}(?:passw(?:or)?d|passphrase|passcode)[ \t]{0,4}:[ \t]{1,8})(?!["'|>]|\(hidden\)|[^\n]{0,200}["'])[^\n]+/gim,
    `$1${hidden}`,
  ],
  // "password": "…", AWS_SECRET_ACCESS_KEY=…, X-Amz-Signature=…
  [
    new RegExp(
      String.raw`((?:passw(?:or)?d|passphrase|passcode|secret|signature|auth_?data|private_?key|api[_-]?key)[\w-]{0,40}\\?["']?\s{0,8}[:=]\s{0,8})${value}`,
      'gi',
    ),
    `$1${hidden}`,
  ],
  // DB_PASS=…, MYSQL_PWD: …, and each other name of a secret setting.
  [
    new RegExp(
      String.raw`((?<![\w.-])([A-Za-z]\w{0,100})=|(?<![\w.-])([A-Z][A-Z0-9_]{1,100})\\?["']?:[ \t]{1,8})(?!\(hidden\)|#)${value}`,
      'g',
    ),
    (all, before = '', inAssignment = '', inYaml = '') =>
      isSecretName(inAssignment || inYaml) ? `${before}${hidden}` : all,
  ],
  // ?key=…, &sig=… of a URL.
  [/([?&](?:key|sig|pass|pwd|code|auth|access_?key)=)(?!\(hidden\))[^\s"'&#]+/gi, `$1${hidden}`],
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

  // curl -u user:password, -su user:password or -uuser:password, in one text or as items of a list;
  // "-u 1000:1000" is a user and a group.
  [
    /((?:^|[\s"',[(])(?:-[A-Za-z#]{0,12}[uU]|(?:--user|--proxy-user)(?=[\s"'\\,=]))\\?["']?[\s,=]{0,40}(?:-\s{1,8})?\\?["']?(?!\d{1,10}:\d{1,10}\b)[^\s"':,]{1,200}:)(?!\(hidden\))[^\s"',\]]+/g,
    `$1${hidden}`,
  ],
  // curl -b session=…
  [
    /((?:^|[\s"',[(])(?:-b|--cookie)\\?["']?[\s,=]{1,40}(?:-\s{1,8})?\\?["']?[^\s"'=,]{1,200}=)(?!\(hidden\))[^\s"',\]]+/g,
    `$1${hidden}`,
  ],
  // --password …, --pass …, --api-token …, --oauth2-bearer …
  [
    new RegExp(
      String.raw`((?:^|[\s"',[(])--?[\w-]{0,40}(?:passw(?:or)?d|passphrase|secret|token|api-?key|bearer|pass(?![\w-]))[\w-]{0,40}\\?["']?[\s,]{1,40}(?:-\s{1,8})?)(?!-|\()${value}`,
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
  return forms.reduce((rest, [pattern, told]) => rest.replaceAll(pattern, told as string), text);
}

/** The value of a setting, without a secret. */
export function tellable(name: string, text: string): string {
  if (isSecretName(name) && text !== '') return hidden;
  const told = redact(text);
  return /proxy/i.test(name) ? told.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.+@/is, `$1${hidden}@`) : told;
}

/** Flags of a program whose next argument is a secret, or a user's name with a secret behind it. */
const secretFlag = /^--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key|bearer)[\w-]*$|^--?(?:[\w-]*-)?pass$/i;
const userFlag = /^(?:-[A-Za-z#]{0,12}[uU]|--user|--proxy-user)$/;
const cookieFlag = /^(?:-b|--cookie)$/;

/** Arguments of a program without secrets. A secret may be the argument after its flag. */
export function tellableArguments(words: readonly string[]): string[] {
  return words.map((word, at) => {
    const before = words[at - 1] ?? '';
    if (secretFlag.test(before)) return hidden;
    if (userFlag.test(before) && !/^\d+:\d+$/.test(word)) return word.replace(/:.*$/s, `:${hidden}`);
    if (cookieFlag.test(before)) return word.replace(/=.*$/s, `=${hidden}`);
    return redact(word);
  });
}
