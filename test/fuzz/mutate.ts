/** Mutations of packets: of bytes, of lengths, and of whole parameters. */

/** A number in [0, below). */
export type Dice = (below: number) => number;

/** xorshift32: the same numbers for the same seed. */
export function randomOf(seed: number): Dice {
  let state = seed | 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const INTERESTING = [0x00, 0x01, 0x07, 0x08, 0x0f, 0x10, 0x7f, 0x80, 0xfe, 0xff];

export function mutate(corpus: readonly Uint8Array[], dice: Dice): Uint8Array {
  let bytes: Uint8Array = pick(corpus, dice).slice();
  for (let n = dice(4); n >= 0; n--)
    bytes = MUTATIONS[dice(MUTATIONS.length)]?.(bytes, dice, corpus) ?? bytes;
  return bytes;
}

type Mutation = (bytes: Uint8Array, dice: Dice, corpus: readonly Uint8Array[]) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  (bytes, dice) => poke(bytes, dice(bytes.length || 1), dice(256)),
  (bytes, dice) => poke(bytes, dice(bytes.length || 1), pick(INTERESTING, dice)),
  (bytes, dice) => poke(bytes, dice(4), dice(256)),
  (bytes, dice) => bytes.slice(0, dice(bytes.length + 1)),
  (bytes, dice) => fixLength(join(bytes, new Uint8Array(8 * dice(4)).fill(dice(256)))),
  // A parameter of another type, of another length, twice, gone, or in the wrong place.
  (bytes, dice) => inParameter(bytes, dice, (at) => poke(bytes, at + dice(2), dice(256))),
  (bytes, dice) => inParameter(bytes, dice, (at) => poke(bytes, at + 2 + dice(2), dice(256))),
  (bytes, dice) =>
    inParameter(bytes, dice, (at, end) => poke(bytes, at + 4 + dice(Math.max(1, end - at - 4)), dice(256))),
  (bytes, dice) =>
    inParameter(bytes, dice, (at, end) =>
      fixLength(join(bytes.slice(0, end), bytes.slice(at, end), bytes.slice(end))),
    ),
  (bytes, dice) =>
    inParameter(bytes, dice, (at, end) => fixLength(join(bytes.slice(0, at), bytes.slice(end)))),
  (bytes, dice, corpus) => {
    const other = pick(corpus, dice);
    return inParameter(other, dice, (at, end) => fixLength(join(bytes, other.slice(at, end))));
  },
];

function poke(bytes: Uint8Array, at: number, value: number): Uint8Array {
  bytes[at] = value;
  return bytes;
}

/** Calls `change` with start and end of some parameter, or gives the bytes back when there is none. */
function inParameter(
  bytes: Uint8Array,
  dice: Dice,
  change: (at: number, end: number) => Uint8Array,
): Uint8Array {
  const places: [number, number][] = [];
  for (let at = 40; at + 8 <= bytes.length; ) {
    const length = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    const end = at + 11 + length - ((length + 3) % 8);
    if (end > bytes.length) break;
    places.push([at, end]);
    at = end;
  }
  const place = places[dice(places.length || 1)];
  return place === undefined ? bytes : change(...place);
}

/** Most mutants should pass the header checks and reach the parameters. */
function fixLength(bytes: Uint8Array): Uint8Array {
  bytes[1] = Math.max(0, Math.min(255, Math.floor(bytes.length / 8) - 1));
  return bytes;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function pick<T>(items: readonly T[], dice: Dice): T {
  return items[dice(items.length)] as T;
}
