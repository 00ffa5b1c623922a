import { Hook } from '../../entities/index.ts';
import { checkHookUrl, kindOfUrl } from '../../hooks/hook-url.ts';
import { Problem } from '../../problems.ts';
import { type HookEvent, type HookKind, hookEvents } from '../../words.ts';
import { findFormId } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';

/** Held messages are mostly spam. */
const defaultEvents: readonly HookEvent[] = ['message.accepted', 'message.released', 'email.failed'];

export interface HookSettings {
  name?: string;
  url?: string;
  /** Without it the URL's host decides. */
  kind?: HookKind;
  /** Null for the default. */
  events?: readonly string[] | null;
  /** Slugs; null for every form. */
  forms?: readonly string[] | null;
  withContent?: boolean;
  /** For hosts that the configuration names. */
  allowHttp?: boolean;
}

export const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** The given settings, as they are stored. @throws {Problem} hook-exists, form-unknown, argument-invalid */
export async function readSettings(scope: Scope, hook: Hook, settings: HookSettings): Promise<Partial<Hook>> {
  const { name, url, events, forms, withContent } = settings;
  if (name !== undefined && !namePattern.test(name))
    throw new Problem('argument-invalid', 'a name has up to 64 lower-case letters, digits, dots, - and _');
  if (name !== undefined && name !== hook.name && (await scope.em.count(Hook, { name })) > 0)
    throw new Problem('hook-exists', `the hook "${name}" already exists`);
  const unknown = events?.find((it) => !(hookEvents as readonly string[]).includes(it));
  if (unknown !== undefined)
    throw new Problem('argument-invalid', `"${unknown}" is not an event: choose ${hookEvents.join(', ')}`);
  const formIds = new Set<string>();
  for (const slug of forms ?? []) formIds.add(await findFormId(scope, slug));
  const kind = settings.kind ?? kindOfUrl(url ?? '') ?? hook.kind;
  const address = url ?? (settings.kind && openOfHook(scope, hook, 'url'));
  return {
    ...(name !== undefined && { name }),
    ...(events !== undefined && { events: [...new Set(events ?? defaultEvents)] }),
    ...(forms !== undefined && { formIds: forms === null ? null : [...formIds] }),
    ...(withContent !== undefined && { withContent }),
    ...(address != null && {
      kind,
      url: sealForHook(scope, hook, 'url', readUrl(scope, kind, address, settings.allowHttp ?? false)),
      failingSince: null,
      quietUntil: null,
    }),
  };
}

function readUrl({ config }: Scope, kind: HookKind, text: string, allowHttp: boolean): string {
  try {
    return checkHookUrl(kind, text, { allowHosts: config.hookAllowHosts, allowHttp }).href;
  } catch (error) {
    throw new Problem('argument-invalid', (error as Error).message);
  }
}

export function sealForHook(
  { keyring }: Scope,
  { id }: { id: string },
  column: 'url' | 'secret' | 'former_secret',
  text: string,
) {
  return keyring.seal(text, { table: 'hooks', column, row: id });
}

export function openOfHook({ keyring }: Scope, hook: Hook, column: 'url' | 'secret'): string | null {
  const sealed = hook[column];
  return sealed == null ? null : keyring.open(sealed, { table: 'hooks', column, row: hook.id });
}
