/** What the model said to the validation's question, beside what was expected; the coordinator judges for itself. */
import type { EmbeddingValidation, LabelValidation, PageSpec, TextValidation, ValidationOutput } from './contract';
import { cosine, leadingAgreement, sameShare } from './statistics';

export interface Part {
  as: 'title' | 'quote' | 'text';
  words: string;
}

export function outputParts(validation: NonNullable<PageSpec['validation']>, output: ValidationOutput): Part[] {
  const parts =
    validation.check === 'text'
      ? textParts(validation, output)
      : validation.check === 'embedding'
        ? embeddingParts(validation, output)
        : labelParts(validation, output);
  const nonsense = output.non_finite ?? 0;
  return nonsense === 0 ? parts : [...parts, text(nonsense === 1 ? 'One value was no number.' : `${nonsense} values were no numbers.`)];
}

function textParts(validation: TextValidation, { texts = [], forced_ids = [] }: ValidationOutput): Part[] {
  const [first = '', second] = texts;
  const parts = [...quote('Prompt', validation.prompt)];
  if (texts.length > 0) parts.push(...quote('Generated', first));
  if (second !== undefined) {
    const same = second === first;
    parts.push(text(same ? 'The second generation is identical.' : 'The second generation differs:'));
    if (!same) parts.push({ as: 'quote', words: second });
  }
  const source = validation.reference_source ?? 'unnamed';
  if (validation.reference_ids !== null && forced_ids.length > 0) {
    const share = percent(sameShare(forced_ids, validation.reference_ids));
    parts.push(text(`${share} of ${validation.reference_ids.length} tokens are those of the reference (${source}), each given all those before it.`));
  }
  if (validation.reference_text !== null) {
    const share = percent(leadingAgreement(first, validation.reference_text));
    parts.push(...quote(`Reference (${source})`, validation.reference_text));
    parts.push(text(`${share} of the reference is repeated from its start.`));
  }
  if (validation.expected_substring !== null) {
    const found = first.includes(validation.expected_substring);
    parts.push(text(`“${validation.expected_substring}” is ${found ? '' : 'not '}in the text.`));
  }
  return parts;
}

function embeddingParts(validation: EmbeddingValidation, { vectors = [] }: ValidationOutput): Part[] {
  return validation.texts.flatMap((asked, index) => {
    const similarity = cosine(vectors[index] ?? [], validation.reference[index] ?? []);
    const words = similarity === null ? 'does not compare with the reference' : `cosine ${similarity.toFixed(5)}`;
    return [{ as: 'quote' as const, words: asked }, text(words)];
  });
}

function labelParts(validation: LabelValidation, { labels = [] }: ValidationOutput): Part[] {
  return validation.texts.flatMap((asked, index) => {
    const expected = new Map(validation.reference[index]?.map(({ label, score }) => [label, score]));
    const found = labels[index] ?? [];
    const lines = found.map(({ label, score }) => {
      const reference = expected.get(label);
      return text(`${label}: ${score.toFixed(4)}${reference === undefined ? '' : ` (reference ${reference.toFixed(4)})`}`);
    });
    const best = validation.reference[index]?.[0];
    const missing = best !== undefined && !found.some(({ label }) => label === best.label);
    const gap = missing ? [text(`The reference’s best, ${best.label} (${best.score.toFixed(4)}), is not among them.`)] : [];
    return [{ as: 'quote' as const, words: asked }, ...lines, ...gap];
  });
}

function quote(title: string, words: string): Part[] {
  return [
    { as: 'title', words: title },
    { as: 'quote', words: words === '' ? '(nothing)' : words },
  ];
}

function text(words: string): Part {
  return { as: 'text', words };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
