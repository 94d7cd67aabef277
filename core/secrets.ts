/**
 * Recognises secrets by the name of a setting and by the form of a value. It keeps them out of
 * output, logs, tags and world-readable files.
 */

/** The text that replaces a secret. */
export const hidden = '(hidden)';

/** These words make a name a secret's name, wherever they stand in it. */
const sure = String.raw`passw(?:or)?d|passphrase|passcode|secret|signature|auth_?data|(?:access|account|api|auth|private|shared|subscription)[_-]?key`;

/** Words that sentences have, too, and the last words of names such as DB_PASS and MYSQL_PWD. */
const likely = String.raw`token|credential|(?:(?<![a-z\d])pass|(?<=[_-])pwd)(?![\w-])`;

const secretName = new RegExp(`${sure}|${likely}`, 'i');

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

/** Before a value: NAME= or "NAME": with a value behind it. The value before it ends there. */
const next = String.raw`[\w.-]{1,60}\\?["']?(?:\s{0,8}=(?![=\s])|:(?=\s))`;

/** One word. Marks such as ; and ' belong to it where an ordinary character follows. */
const word = String.raw`(?:[^\s"'&,;\]}\\]+|['&,;\]}]{1,9}(?=[^\s"'&,;\]}])(?!${next})|\\(?!["nr]))+`;

/** To the closing quote, also where the quotes are escaped. */
const quoted = String.raw`\\"[^"]*"?|"(?:[^"\\]+|\\.)*"?|'(?:[^']+|'')*'?`;

/** All words of the line up to the next name. */
const words = String.raw`(?:${quoted}|${word}(?:[,;]?[ \t]{1,8}(?!${next})${word})*)`;
const value = `(?:${quoted}|${word})`;
const quote = String.raw`\\?["']?`;

/** The names of AWS's errors hold such words: InvalidSignatureException, SignatureDoesNotMatch. */
const more = String.raw`(?!\w{0,60}(?:Error|Exception|Match)\b)[\w-]{0,40}`;

/** Between a flag and its value, in one text or as items of a list. */
const flag = String.raw`(?:^|[\s"',[(])`;
const gap = String.raw`\\?["']?[\s,=]{1,40}(?:-\s{1,8})?`;

/** In one word, curl takes flags without a value before another flag, and its value behind it. */
const short = String.raw`-[\d#aBfgGiIjJklLMnNOpqRsSvZ]{0,20}`;
const user = String.raw`${short}[uU]|--?(?:proxy-)?user`;
const cookie = `${short}b|--cookie`;
const proxy = `${short}x|--(?:pre)?proxy`;
const secret = String.raw`--?[\w-]{0,40}(?:${sure}|${likely}|bearer)[\w-]{0,40}`;

/** The rest of a value whose opening quote, if any, is the second group. */
const rest = String.raw`(?:(?:(?!\\?\2)[^])+|${word})`;

/**
 * Each form of a secret, with its replacement. The first group stays. Repetitions before the secret
 * are bounded and begin at a fixed word: otherwise a line of 60 kB takes a minute.
 */
const forms: readonly (readonly [
  pattern: RegExp,
  told: string | ((all: string, before: string, name: string) => string),
])[] = [
  [
    /-{4,5} ?BEGIN [A-Z\d ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}[\s\S]*?(-{4,5} ?END [A-Z\d ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|$)/g,
    hidden,
  ],

  // HTTP_PROXY=user:password@proxy:3128, as the ECS agent takes it. A proxy has no path: an @ ends
  // the password, also behind a slash.
  [
    /(proxy\w{0,40}\\?["']?\s{0,8}[=:]\s{0,8}\\?["']?(?:[a-z]\w{0,9}:\/\/)?)[^\s"@/:]{0,200}:(?!\/\/)[^\s"]{0,5000}@/gi,
    `$1${hidden}@`,
  ],

  // Authorization: Bearer …, Basic …, Token …
  [/(authorization\\?["']?\s{0,8}[:=][ \t]{0,8})(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],
  [/(\b(?:set-)?cookie[ \t]{0,8}:[ \t]{0,8})(?![ \t]|\(hidden\))[^"'\n\\]+/gi, `$1${hidden}`],

  // password: two words
  form(
    String.raw`(?:(?:${sure})s?|(?<=\w[_-])(?:${likely})s?(?<!settings\.\w{0,80}))${quote}(?:\s{0,8}:|[ \t]{1,8}=)[ \t]{1,8}(?!#\s)`,
    words,
  ),
  // "password": "…", AWS_SECRET_ACCESS_KEY=…, X-Amz-Signature=…
  form(String.raw`(?:${sure})${more}${quote}\s{0,8}[:=]\s{0,8}`, value),
  // token=…, "token": "…", X-Vault-Token: …; but not "api/token: 403".
  form(
    String.raw`(?:(?<!\/)(?:${likely})${more}(?:[ \t]{0,8}=|\\?["'][ \t]{0,8}[:=])|(?<=\w[_-])(?:${likely})s?(?<!settings\.\w{0,80})[ \t]{0,8}:)[ \t]{0,8}(?!#\s)`,
    value,
  ),
  // TOKEN: …, but not "token: 403".
  [
    new RegExp(String.raw`((?<![\w.-])([A-Z][A-Z\d_]{1,100})${quote}:[ \t]{1,8})(?!#\s)${value}`, 'g'),
    (all, before, name) => (isSecretName(name) ? `${before}${hidden}` : all),
  ],
  // ?key=…&sig=…, and a cookie behind curl's -b
  form(
    String.raw`(?:[?&;]|${flag}-b)(?:[\w.-]{0,60}[_.-])?(?:key|sig|pwd|auth|jwt|sid|sess(?:ion)?(?:_?id)?|code(?!=\d{1,4}\b))=`,
    String.raw`(?:[^\s"'&#]|'(?=\w))+`,
  ),
  // openssl -passin pass:…
  form(String.raw`${flag}pass:`, word),
  // "auth": "…" of a Docker configuration.
  [/(["']auth\\?["']\s{0,8}:\s{0,8})(?:\\"[^"]*"?|"[^"]*"?|'[^']*'?)/gi, `$1${hidden}`],

  // curl -u user:password; "-u 1000:1000" is a user and a group.
  [
    new RegExp(
      String.raw`(${flag}(?:${short}[uU](?:${gap})?|(?:${user})${gap})\\?(["'])?(?!\d{1,10}:\d{1,10}\b)[^\s"':,=/]{1,200}:(?!\/\/))${rest}`,
      'g',
    ),
    `$1${hidden}`,
  ],
  [new RegExp(String.raw`(${flag}(?:${cookie})${gap}\\?(["'])?[^\s"'=,;]{1,200}=)${rest}`, 'g'), `$1${hidden}`],
  [
    new RegExp(
      String.raw`(${flag}(?:${short}x|(?:${proxy})${gap})${quote}(?:[a-z]\w{0,9}:\/\/)?)[^\s"@/:]{0,200}:(?!\/\/)[^\s"]{0,5000}@`,
      'g',
    ),
    `$1${hidden}@`,
  ],
  // --password …, --api-token …
  form(String.raw`${flag}(?:${secret})${gap}(?!-|\()`, value),

  // Tokens with a recognisable prefix: JSON Web Tokens, and those of GitHub, GitLab, Slack, npm and
  // Stripe.
  [/\beyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{8,}/g, hidden],
  [/\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|npm_|sk_live_|rk_live_)[\w-]{16,}/g, hidden],
  [/(\bhooks\.slack\.com\/services\/)[\w/-]+/g, `$1${hidden}`],
];

function form(before: string, told: string): readonly [RegExp, string] {
  return [new RegExp(`(${before})${told}`, 'gi'), `$1${hidden}`];
}

/**
 * https://user:password@proxy, also where the password holds a slash or an @ that should have been
 * encoded. A port is no password: http://host:8080/a@b.
 */
const userinfo =
  /(:\\?\/\\?\/)(?:(?!\[)(?:[^'/?#:@]|'(?=['\w]))*:(?!\/\/|\d{1,5}(?:\\?[/?#]|'\W|,\w{1,10}:\/\/)).*@$|[^'/?#@]+@)/g;

/** Up to the last @ of each word. A search by word takes linear time. */
function withoutUserinfo(text: string): string {
  return text.replaceAll(/[^\s"]+/g, (each) => {
    const end = each.lastIndexOf('@') + 1;
    return each.slice(0, end).replaceAll(userinfo, `$1${hidden}@`) + each.slice(end);
  });
}

/** The text without what looks like a secret. */
export function redact(text: string): string {
  return forms.reduce((rest, [pattern, told]) => rest.replaceAll(pattern, told as string), withoutUserinfo(text));
}

/** The value of a setting, without a secret. A proxy has no path, so each @ belongs to its user. */
export function tellable(name: string, text: string): string {
  if (isSecretName(name) && text !== '') return hidden;
  const before = /proxy/i.test(name) ? /^([a-z][\w+.-]*:\/\/)?.*@/is : /^([a-z][\w+.-]*:\/\/)[^/?#]*@/is;
  return redact(text.replace(before, `$1${hidden}@`));
}

/** Flags of a program whose next argument is, or holds, a secret. */
const secretFlag = new RegExp(`^(?:${secret})$`, 'i');
const userFlag = new RegExp(`^(?:${user})$`);
const cookieFlag = new RegExp(`^(?:${cookie})$`);
const proxyFlag = new RegExp(`^(?:${proxy})$`);

/** Arguments of a program without secrets. A secret may be the argument after its flag. */
export function tellableArguments(words: readonly string[]): string[] {
  return words.map((word, at) => {
    const before = words[at - 1] ?? '';
    if (secretFlag.test(before)) return hidden;
    if (userFlag.test(before) && !/^\d+:\d+$/.test(word)) return word.replace(/:.*$/s, `:${hidden}`);
    if (cookieFlag.test(before)) return word.replace(/=.*$/s, `=${hidden}`);
    return proxyFlag.test(before) ? tellable('proxy', word) : redact(word);
  });
}
