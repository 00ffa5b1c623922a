import type { HookView } from '../../../services/hooks/hooks.ts';
import { unopened } from '../../session/print-page.ts';
import type { Output } from '../../terminal/output.ts';

export function printHooks(output: Output, hooks: readonly HookView[]): void {
  output.printTable(hooks, [
    { header: 'NAME', text: (it) => it.name },
    { header: 'KIND', text: (it) => it.kind, omit: 3 },
    { header: 'STATE', text: stateOf, style: (text, it) => paintState(output, it)(text) },
    { header: 'ADDRESS', text: (it) => it.address ?? unopened, minWidth: 8, omit: 4 },
    { header: 'QUEUED', text: (it) => String(it.queued || ''), align: 'right', omit: 1 },
    { header: 'FAILED', text: (it) => String(it.failed || ''), align: 'right', omit: 2, style: output.style.bad },
  ]);
}

function stateOf({ state, failingSince }: HookView): string {
  return state === 'active' && failingSince !== null ? 'failing' : state;
}

function paintState({ style }: Output, hook: HookView): (text: string) => string {
  return stateOf(hook) === 'active' ? style.good : hook.state === 'paused' ? style.warning : style.bad;
}

export function printHook(output: Output, hook: HookView): void {
  output.printDetails([
    ['name', hook.name, output.style.bold],
    ['kind', hook.kind],
    ['state', stateOf(hook), paintState(output, hook)],
    ['failing since', hook.failingSince && output.timeInFull(hook.failingSince)],
    ['address', hook.address ?? unopened],
    ['events', hook.events.join(', ')],
    ['forms', hook.forms?.join(', ') ?? 'all'],
    ['content', hook.withContent ? 'what visitors wrote too' : 'none of what visitors wrote'],
    ['deliveries', `${hook.queued} queued, ${hook.failed} failed`],
    ['created', output.timeInFull(hook.createdAt)],
  ]);
}
