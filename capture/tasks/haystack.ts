import { pick, type Uniform } from "../lib/random.ts";

/** Text to hide things in, sentence by sentence, endless. */
export type Haystack = () => string;

const PEOPLE = ["the harbour-master", "my landlady", "the old captain", "a boy from the village", "the schoolmaster", "the ferryman", "the rector", "our pilot", "the widow", "a stranger", "the carpenter", "my companion"];
const PLACES = ["on the quay", "beside the long wall", "at the foot of the tower", "in the little garden", "beyond the sands", "by the open window", "under the trees", "along the shore", "near the church", "upon the hill", "in the market", "across the river"];
const DEEDS = ["spoke of the weather", "waited for the tide", "mended a net", "read aloud from a book", "carried a lantern", "counted the ships", "said nothing at all", "told the story again", "looked for the path", "lit the fire", "walked very slowly", "watched the clouds"];
const TIMES = ["In the morning", "Towards evening", "After dinner", "Before the storm", "On Sunday", "That night", "A week later", "At noon", "When the rain had ceased", "As the lamps were lit", "In those days", "At last"];
const ENDS = ["and the wind went round to the north", "and nobody answered", "though it was already late", "which seemed to please everyone", "as if nothing had happened", "while the dog slept by the door", "and I was glad of the company", "for the road was long", "and the sea was quite still", "but I did not believe it", "until the bell rang", "and so the day ended"];

/** Plain narrative sentences from a small grammar: 248,832 of them, so that a long text has no long repeats. */
export function grammarHaystack(random: Uniform): Haystack {
  return () => ` ${pick(random, TIMES)} ${pick(random, PEOPLE)} ${pick(random, DEEDS)} ${pick(random, PLACES)}, ${pick(random, ENDS)}.`;
}

/** Sentences of a given text in its order, from a random one on, starting over at its end; one without any full stop is a sentence. */
export function textHaystack(text: string, random: Uniform): Haystack {
  const sentences = [...text.replaceAll(/\s+/g, " ").matchAll(/[^.!?]+[.!?]+["')\]]*/g)].map((match) => ` ${match[0].trim()}`);
  if (sentences.length === 0) sentences.push(` ${text.trim()}`);
  let next = Math.floor(random() * sentences.length);
  return () => sentences[next++ % sentences.length]!;
}
