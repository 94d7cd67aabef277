/**
 * Makes text harmless for a terminal. Reasons, tags and task families come from other people:
 * control characters would steer the terminal, and characters that change the direction of writing
 * would show another text than there is.
 */

/**
 * Control and format characters. A line break and a tab are wanted; two joiners are part of words
 * in some scripts.
 */
const invisible = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Each such character as `\u202e`, which JSON and quoted YAML read as the same character. */
export function visible(text: string): string {
  return text.replaceAll(invisible, escapeOf);
}

/** As `visible`, for text that must stay on its line. */
export function visibleLine(text: string): string {
  return visible(text)
    .replaceAll('\n', String.raw`\n`)
    .replaceAll('\t', String.raw`\t`);
}

function escapeOf(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    return `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  }).join('');
}
