/** Text to fill a prompt with: plain words, so that tokenizers of any make cut it into similar numbers of tokens. */
const PASSAGE =
  'The river runs down from the hills and turns the wheel of the old mill by the bridge. ' +
  'People of the town come there in the evening to talk about the harvest, the weather and the price of bread. ' +
  'Children play on the bank while the miller counts his sacks and writes the numbers into a book. ' +
  'When the bell rings in the tower, everybody walks home along the narrow road under the trees. ';

const WORDS = PASSAGE.trim().split(' ');

/** The passage again and again, up to `count` words. */
export function words(count: number): string {
  return Array.from({ length: count }, (_, index) => WORDS[index % WORDS.length]).join(' ');
}

/**
 * The most words whose token count does not exceed `target`.
 *
 * @param measure counts the tokens of a text; it grows with the number of words.
 */
export function fit(target: number, measure: (text: string) => number): string {
  let low = 1;
  let high = 2;
  while (measure(words(high)) <= target) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (measure(words(middle)) <= target) low = middle;
    else high = middle;
  }
  return words(low);
}

/** Short things to say after a passage: in most vocabularies one token each. */
const FILLERS = [' the', ' a', '.', ',', ' of', 'e', '1'];

/**
 * As `fit`, and then as many short words as there is room for: exact wherever the tokenizer has one of them as a
 * token.
 */
export function fill(target: number, measure: (text: string) => number): string {
  let text = fit(target, measure);
  let tokens = measure(text);
  while (tokens < target) {
    const longer = FILLERS.map((filler) => text + filler).find((one) => {
      const size = measure(one);
      return size > tokens && size <= target;
    });
    if (longer === undefined) break;
    text = longer;
    tokens = measure(text);
  }
  return text;
}

/**
 * As `fill`, for runtimes that only count what they have run: asked about a dozen times, each time with no more than
 * one passage. It takes for granted that a passage has as many tokens wherever it stands.
 */
export async function fillByAsking(target: number, ask: (text: string) => Promise<number>): Promise<string> {
  const passage = await ask(words(WORDS.length + 1)) - (await ask(words(1)));
  const counts = new Map<number, number>();
  const count = async (length: number): Promise<number> => {
    const known = counts.get(length) ?? (await ask(words(length)));
    counts.set(length, known);
    return known;
  };
  const passages = Math.max(0, Math.floor((target - (await count(1))) / Math.max(1, passage)));
  const rest = target - passages * passage;
  let low = 1;
  let high = WORDS.length + 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await count(middle)) <= rest) low = middle;
    else high = middle;
  }
  let tokens = await count(low);
  let tail = '';
  for (const filler of FILLERS) {
    const each = (await ask(words(low) + tail + filler)) - tokens;
    if (each < 1) continue;
    const room = Math.max(0, Math.floor((rest - tokens) / each));
    tail += filler.repeat(room);
    tokens += room * each;
    if (tokens >= rest) break;
  }
  return words(passages * WORDS.length + low) + tail;
}
