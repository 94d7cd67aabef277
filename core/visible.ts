/**
 * Makes text harmless for a terminal. Other people write reasons, tags and task families. Control
 * characters could steer the terminal, and characters of writing direction could show another text.
 */

/**
 * Control and format characters. Line breaks and tabs stay, and so do two joiners that belong to
 * words in some scripts.
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
