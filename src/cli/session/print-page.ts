import type { Page, PageRequest } from '../../services/paging.ts';
import type { MessageView } from '../../services/views.ts';
import type { Column } from '../terminal/table.ts';
import { writePiece } from '../terminal/write-pieces.ts';
import type { Call } from './command.ts';
import { type PageOptions, pageOf } from './options.ts';
import { setExitCode } from './results.ts';

/** Shown in place of a text that cannot be decrypted. */
export const unopened = '(cannot be opened)';

/** A message may have no address. */
export function fromOf({ email, message }: Pick<MessageView, 'email' | 'message'>): string {
  return email ?? (message === null ? unopened : '–');
}

/** Of a message without a text the further fields. */
export function previewOf({ subject, message, extra }: Pick<MessageView, 'subject' | 'message' | 'extra'>): string {
  const text = message || Object.values(extra ?? {}).join(', ');
  return [subject, text.slice(0, 300)].filter((it) => it).join(' – ');
}

interface PageLook<View> {
  columns: (items: readonly View[]) => readonly Column<View>[];
  mask: (view: View) => View;
  whenEmpty: string;
}

/** Prints one page and the command for the next one, or all pages: JSON as in the HTTP API, or tables. */
export async function printPages<View>(
  call: Call<PageOptions>,
  read: (request: PageRequest) => Promise<Page<View>>,
  look: PageLook<View>,
): Promise<void> {
  const { deps, options, output } = call;
  const readMasked = async (request: PageRequest) => {
    const page = await read(request);
    return options.mask ? { ...page, items: page.items.map(look.mask) } : page;
  };
  const print = (items: readonly View[], isFirst: boolean) => {
    if (items.length > 0) output.printTable(items, look.columns(items));
    else if (isFirst) output.note(look.whenEmpty);
  };
  if (!options.all) {
    const page = await readMasked(pageOf(options));
    output.printResult(page, () => print(page.items, true));
    if (page.next !== null && !options.json) output.note(`\nThere are more: ${call.nextCommand(page.next)}`);
    return;
  }
  const stop = deps.stopGently();
  const all: View[] = [];
  let [next, isFirst]: [string | null, boolean] = [null, true];
  do {
    const page: Page<View> = await readMasked({ limit: 200, ...(next !== null && { cursor: next }) });
    if (options.json) all.push(...page.items);
    else print(page.items, isFirst);
    [next, isFirst] = [page.next, false];
    // Reads no faster than somebody takes the output.
  } while (next !== null && !stop.aborted && (await writePiece(deps.stdout, '')));
  if (options.json) output.printJson({ items: all, next });
  setExitCode(deps, stop);
}
