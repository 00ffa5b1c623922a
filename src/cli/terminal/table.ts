import { showSafe } from './safe-text.ts';
import type { Style } from './style.ts';
import { graphemesOf, textWidth } from './text-width.ts';

export interface Column<Row> {
  header: string;
  /** The text of a cell as it is stored; the table makes it safe to show. */
  text: (row: Row) => string;
  style?: (text: string, row: Row) => string;
  align?: 'right';
  /** May be cut down to so many columns where the terminal is narrow; without it a cell is never cut. */
  least?: number;
  /** Left out where even that does not fit: the highest number first. Without it, kept to the last. */
  omit?: number;
}

interface Laid<Row> {
  column: Column<Row>;
  cells: string[];
  natural: number;
  width: number;
}

const gap = 2;

/** The lines of a table that fits into `width` columns, its header first. */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
  style: Style,
): string[] {
  const laid = fitInto(
    columns.map((column) => layOut(rows, column)),
    width,
  );
  // Nothing stands to the right of the last column, so that it needs no filling up.
  const last = laid.at(-1);
  const fill = (it: Laid<Row>, text: string) =>
    it === last && it.column.align !== 'right' ? 0 : it.width - textWidth(text);
  const place = (it: Laid<Row>, text: string, styled: string) => {
    const filling = ' '.repeat(Math.max(0, fill(it, text)));
    return it.column.align === 'right' ? filling + styled : styled + filling;
  };
  const header = laid.map((it) => place(it, it.column.header, style.dim(it.column.header)));
  const lines = rows.map((row, index) =>
    laid.map((it) => {
      const text = cut(it.cells[index] ?? '', it.width);
      return place(it, text, it.column.style?.(text, row) ?? text);
    }),
  );
  return [header, ...lines].map((cells) => cells.join(' '.repeat(gap)).trimEnd());
}

function layOut<Row>(rows: readonly Row[], column: Column<Row>): Laid<Row> {
  const cells = rows.map((row) => showSafe(oneLine(column.text(row))));
  const natural = Math.max(column.header.length, ...cells.map(textWidth));
  return { column, cells, natural, width: natural };
}

/** Leaves out what does not fit, then gives the columns that may be cut an equal share of the room. */
function fitInto<Row>(all: Laid<Row>[], width: number): Laid<Row>[] {
  let laid = all;
  while (total(laid, leastOf) > width) {
    const last = laid
      .filter((it) => it.column.omit !== undefined)
      .sort((a, b) => (b.column.omit ?? 0) - (a.column.omit ?? 0))[0];
    if (last === undefined) break;
    laid = laid.filter((it) => it !== last);
  }
  let excess = total(laid, (it) => it.natural) - width;
  while (excess > 0) {
    const [widest] = laid.filter((it) => it.width > leastOf(it)).sort((a, b) => b.width - a.width);
    if (widest === undefined) break;
    widest.width -= 1;
    excess -= 1;
  }
  return laid;
}

function leastOf(it: Laid<never>): number {
  return Math.min(it.natural, it.column.least ?? it.natural);
}

function total<Row>(laid: readonly Laid<Row>[], size: (it: Laid<Row>) => number): number {
  return laid.reduce((sum, it) => sum + size(it), 0) + gap * Math.max(0, laid.length - 1);
}

/** A cell is one line, whatever its text is. */
function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]\s*/g, ' ').replaceAll('\t', ' ');
}

/** Shortens a text to so many columns, between what a reader sees as characters. */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const segment of graphemesOf(text)) {
    used += textWidth(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Breaks a line into pieces of at most so many columns, between words where it can. */
export function wrap(line: string, width: number): string[] {
  if (textWidth(line) <= width) return [line];
  const pieces: string[] = [];
  let piece = '';
  for (const segment of graphemesOf(line)) {
    if (piece !== '' && textWidth(piece + segment) > width) {
      const space = piece.lastIndexOf(' ');
      const end = space > piece.length / 2 ? space + 1 : piece.length;
      pieces.push(piece.slice(0, end).trimEnd());
      piece = piece.slice(end);
    }
    piece += segment;
  }
  pieces.push(piece);
  return pieces;
}
