/** Keeps numbers that JSON has no word for (NaN, infinity) out of what is reported, and does not hide them. */
import type { ValidationOutput } from './contract';
import { cut } from './errors';
import type { Sample } from './messages';

/** @throws Error naming the figure: a repetition that was not measured must not count as one. */
export function requireFinite({ sample }: Sample): void {
  for (const [name, value] of Object.entries(sample) as [string, unknown][]) {
    if (typeof value === 'number' && !(Number.isFinite(value) && value >= 0)) {
      throw new Error(`the runtime measured ${name} as ${value}`);
    }
  }
}

/** The output with every value that is no number left out or null, and counted in `non_finite`. */
export function finiteOutput(output: ValidationOutput): ValidationOutput {
  let found = 0;
  const isFinite = (value: number | null): boolean => {
    const finite = value === null || Number.isFinite(value);
    if (!finite) found += 1;
    return finite;
  };
  const forced = output.forced_ids ?? [];
  // What the model chooses after nonsense was chosen says nothing any more.
  const nonsense = forced.findIndex((id) => !Number.isInteger(id) || id < 0);
  if (nonsense >= 0) found += forced.length - nonsense;
  const vectors = output.vectors?.map((vector) => vector.map((value) => (isFinite(value) ? value : null)));
  const labels = output.labels?.map((list) =>
    list.filter(({ score }) => isFinite(score)).map(({ label, score }) => ({ label: cut(label), score })),
  );
  return {
    texts: output.texts?.map(cut) ?? [],
    forced_ids: nonsense < 0 ? forced : forced.slice(0, nonsense),
    vectors: vectors ?? [],
    labels: labels ?? [],
    non_finite: (output.non_finite ?? 0) + found,
  };
}
