import type { Style } from './style.ts';

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar of so many columns for `value` of `most`; to an eighth of a column, and never nothing for something. */
export function bar(value: number, most: number, width: number): string {
  if (value <= 0 || most <= 0) return '';
  const units = Math.max(1, Math.round((value / most) * width * 8));
  return '█'.repeat(Math.floor(units / 8)) + eighths[units % 8];
}

/** Two bars one behind the other, in whole columns; each of them shown where there is any of it. */
export function twoBars(first: number, second: number, most: number, width: number): [string, string] {
  const total = Math.max(Math.round(((first + second) / most) * width), (first > 0 ? 1 : 0) + (second > 0 ? 1 : 0));
  const later =
    second === 0
      ? 0
      : Math.min(Math.max(1, Math.round((second / (first + second)) * total)), total - (first > 0 ? 1 : 0));
  return ['█'.repeat(total - later), '▒'.repeat(later)];
}

/** Where times of very different sizes stand beside each other: each factor of ten takes as much room. */
export function timeBar(times: readonly number[], mostMs: number, width: number, style: Style): string {
  const paints = ['█', '▓', '░'];
  const columnOf = (ms: number) => {
    const scale = Math.log10(Math.max(mostMs, shortestMs * 10) / shortestMs);
    return Math.max(1, Math.round((Math.log10(Math.max(ms, shortestMs) / shortestMs) / scale) * width));
  };
  let drawn = 0;
  const pieces = times.map((ms, index) => {
    const length = Math.max(0, columnOf(ms) - drawn);
    drawn += length;
    return (paints[index] ?? '░').repeat(length);
  });
  const [first = '', ...others] = pieces;
  return style.good(first) + style.warning(others.join(''));
}

/** Where a scale of times begins: faster than this is not told apart. */
const shortestMs = 10;
