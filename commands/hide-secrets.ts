/** Replaces the secrets in a YAML document. */

import { isPair, isScalar, parseDocument, visit, type Document, type Scalar } from 'yaml';
import { holdsSecret, tellable, tellableArguments } from '../core/secrets.ts';

/** True for a text in which `ecs-node check` hides something: only root may read such a file. */
export function isPrivate(yaml: string): boolean {
  return holdsSecret(yaml) || hideSecrets(parseDocument(yaml));
}

/** True when it has hidden something. People paste the output of `ecs-node check` into tickets. */
export function hideSecrets(document: Document): boolean {
  let hasHidden = false;
  const replace = (scalar: Scalar, told: string) => {
    hasHidden ||= scalar.value !== told;
    scalar.value = told;
  };
  visit(document, {
    Scalar(key, scalar, path) {
      if (key === 'key' || typeof scalar.value !== 'string') return;
      const pair = path.findLast(isPair);
      replace(scalar, tellable(String(isScalar(pair?.key) ? pair.key.value : ''), scalar.value));
    },
    Seq(_, { items }) {
      const texts = items.filter(
        (item) => isScalar<string>(item) && typeof item.value === 'string',
      ) as Scalar<string>[];
      const told = tellableArguments(texts.map(({ value }) => value));
      for (const [at, text] of texts.entries()) replace(text, told[at]!);
    },
  });
  return hasHidden;
}
