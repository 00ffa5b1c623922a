import { msSql } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';
import { listForms } from './form-settings.ts';
import { type FormView, leftOf } from './view-form.ts';

/** A form with what was posted to it and is still stored. */
export interface ListedForm extends FormView {
  messages: number;
  held: number;
  lastMessageAt: string | null;
}

/** Every form, in alphabetical order. */
export async function listFormsWithCounts(scope: Scope): Promise<ListedForm[]> {
  const forms = await listForms(scope);
  const rows = await scope.em.execute<{ form_id: string; messages: number; held: number; last: number }[]>(
    `select form_id, count(*)::int as messages, count(*) filter (where status = 'held')::int as held,
       ${msSql('max(received_at)')} as last
     from messages group by form_id`,
  );
  const rowOf = new Map(rows.map((row) => [row.form_id, row]));
  return forms.map((form) => {
    const { messages = 0, held = 0, last } = rowOf.get(form.id) ?? {};
    const left = leftOf(form.messageLimit, messages);
    return { ...form, left, messages, held, lastMessageAt: last === undefined ? null : new Date(last).toISOString() };
  });
}
