import type { Page } from '../../services/paging.ts';
import type { Column } from '../terminal/table.ts';
import type { Call } from './command.ts';

/** Shown in place of a text that cannot be decrypted. */
export const unopened = '(cannot be opened)';

interface PageLook<View> {
  columns: readonly Column<View>[];
  mask: (view: View) => View;
  whenEmpty: string;
}

/** Prints one page: JSON as in the HTTP API, or a table and how to see more. */
export function printPage<View>({ options, output }: Call, page: Page<View>, look: PageLook<View>): void {
  const items = options.mask ? page.items.map(look.mask) : page.items;
  output.printResult({ ...page, items }, () => {
    if (items.length === 0) output.note(look.whenEmpty);
    else output.printTable(items, look.columns);
    if (page.next !== null) output.note(`\nThere are more: add --cursor ${page.next}`);
  });
}
