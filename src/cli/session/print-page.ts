import type { Page } from '../../services/paging.ts';
import type { DataOptions, Output } from '../terminal/output.ts';
import type { Column } from '../terminal/table.ts';

/** What stands in the place of a text whose seal does not open. */
export const unopened = '(cannot be opened)';

/** Prints one page: JSON as the HTTP API has it, or a table and how to see more. */
export function printPage<View>(
  output: Output,
  options: DataOptions,
  page: Page<View>,
  columns: readonly Column<View>[],
  whenEmpty: string,
): void {
  if (options.json) output.printJson(page);
  else if (page.items.length === 0) output.note(whenEmpty);
  else output.printTable(page.items, columns);
  if (page.next !== null && !options.json) output.note(`\nThere are more: add --cursor ${page.next}`);
}

export function mapPage<View>(page: Page<View>, change: (view: View) => View): Page<View> {
  return { ...page, items: page.items.map(change) };
}
