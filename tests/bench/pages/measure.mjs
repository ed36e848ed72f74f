// What all plain pages share: they take an order, repeat one thing and tell what came of it. Nothing else runs here.

/** @param open loads the model and returns the thing to repeat, which resolves to `{tokens_in, tokens_out, speed}`. */
export async function measure(open) {
  const tell = (result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) });
  addEventListener('unhandledrejection', ({ reason }) => tell({ error: describe(reason) }));
  try {
    const order = await (await fetch('/order.json')).json();
    const repeat = await open(order);
    for (let index = 0; index < order.workload.warmups; index += 1) await repeat();
    const samples = [];
    for (let index = 0; index < order.workload.repetitions; index += 1) samples.push(await repeat());
    await tell({ samples });
  } catch (error) {
    await tell({ error: describe(error) });
  }
}

// The words that the lab's pages fill prompts with: what a model answers, and so how its tokens are counted, hangs on them.
const PASSAGE =
  'The river runs down from the hills and turns the wheel of the old mill by the bridge. ' +
  'People of the town come there in the evening to talk about the harvest, the weather and the price of bread. ' +
  'Children play on the bank while the miller counts his sacks and writes the numbers into a book. ' +
  'When the bell rings in the tower, everybody walks home along the narrow road under the trees. ';

const WORDS = PASSAGE.trim().split(' ');

/** A text of so many words. */
export function words(count) {
  return Array.from({ length: count }, (_, index) => WORDS[index % WORDS.length]).join(' ');
}

const FILLERS = [' the', ' a', '.', ',', ' of', 'e', '1'];

/** The longest text with no more than `tokens` tokens; `count` counts them, and may be asynchronous. */
export async function textOf(tokens, count) {
  let text = words(1);
  for (let length = 2; ; length += 1) {
    const longer = words(length);
    if ((await count(longer)) > tokens) break;
    text = longer;
  }
  // What whole words of the passage leave room for.
  for (let known = await count(text), index = 0; known < tokens && index < FILLERS.length; ) {
    const longer = text + FILLERS[index];
    const longerTokens = await count(longer);
    if (longerTokens > known && longerTokens <= tokens) [text, known] = [longer, longerTokens];
    else index += 1;
  }
  return text;
}

function describe(error) {
  if (Array.isArray(error)) return error.map(describe).join('; ');
  return String(error?.stack ?? error?.message ?? error);
}
