import type { ListedForm } from '../../../services/forms/list-forms.ts';
import type { FormView } from '../../../services/forms/view-form.ts';
import { type Output, plural } from '../../terminal/output.ts';
import type { Column } from '../../terminal/table.ts';

export function printForms(output: Output, forms: readonly (FormView & Partial<ListedForm>)[]): void {
  const { style } = output;
  const name: Column<FormView> = { header: 'NAME', text: (it) => it.name ?? '', minWidth: 8, omit: 3 };
  output.printTable(forms, [
    { header: 'SLUG', text: (it) => it.slug },
    {
      header: 'STATE',
      text: ({ state, left, closesAt }) => {
        const closes = closesAt !== null && state === 'open' && `closes ${output.timeInList(closesAt)}`;
        const isFull = state === 'open' && left === 0;
        return [isFull ? 'full' : state, state === 'open' && left ? `${left} left` : '', closes]
          .filter(Boolean)
          .join(', ');
      },
      style: (text, it) => (it.state === 'open' && it.left !== 0 ? style.good(text) : style.bad(text)),
    },
    ...(forms.some((it) => it.messages !== undefined) ? countColumns(output) : []),
    ...(forms.some((it) => it.name !== null) ? [name] : []),
    { header: 'RECIPIENTS', text: (it) => it.effective.recipients.join(' '), minWidth: 16, omit: 2 },
    { header: 'REPLY', text: (it) => onOff(it.effective.autoReply), omit: 4 },
    { header: 'CAPTCHA', text: (it) => it.effective.captcha, omit: 5 },
  ]);
}

function countColumns(output: Output): Column<Partial<ListedForm>>[] {
  const held = (it: Partial<ListedForm>) => String(it.held || '');
  const last = ({ lastMessageAt: at }: Partial<ListedForm>) => (at == null ? 'never' : output.timeInList(at));
  return [
    { header: 'MESSAGES', text: (it) => String(it.messages), align: 'right' },
    { header: 'HELD', text: held, align: 'right', style: output.style.warning },
    { header: 'LAST POST', text: last },
  ];
}

/** Release 0.2.0 cannot read such messages. */
export const incompleteNote =
  '\nIts messages may have no address or no text: no server older than 0.3.0 may be running.';

export function printForm(output: Output, form: FormView): void {
  const { effective } = form;
  const routes = form.routes?.map(({ field, value, to }) => `${field}=${value} -> ${to.join(', ')}`);
  const inherited = (own: unknown, variable: string) => (own === null ? ` (from ${variable})` : '');
  output.printDetails([
    ['slug', form.slug, output.style.bold],
    ['name', form.name],
    ['state', form.state, form.state === 'open' ? output.style.good : output.style.bad],
    ['address', form.address],
    ['recipients', `${effective.recipients.join(', ')}${inherited(form.recipients, 'NOTIFY_TO')}`],
    ['routes', routes?.join('; ')],
    ['auto-reply', `${onOff(effective.autoReply)}${inherited(form.autoReply, 'AUTO_REPLY')}`],
    ['captcha', `${effective.captcha}${inherited(form.captcha, 'CAPTCHA')}`],
    ['redirect', form.redirectUrl ?? 'our thank-you page'],
    ['fields', fieldsInWords(form)],
    ['required', effective.requiredFields.join(', ') || 'nothing'],
    ['origins', form.origins?.join(', ') ?? 'from ALLOWED_ORIGINS'],
    ['retention', `${daysInWords(effective.retentionDays)}${inherited(form.retentionDays, 'RETENTION_DAYS')}`],
    ['notify limit', `${limitInWords(effective.notifyLimit)}${form.notifyLimit === null ? ' (the default)' : ''}`],
    ['limit', form.messageLimit === null ? null : `${plural(form.messageLimit, 'message')}, ${form.left} left`],
    ['closes', form.closesAt && output.timeInFull(form.closesAt)],
    ['closed text', form.closedText],
    ['created', output.timeInFull(form.createdAt)],
    ['closed', form.closedAt && output.timeInFull(form.closedAt)],
    ['id', form.id, output.style.dim],
  ]);
}

/** Empty for a form that declares none. */
function fieldsInWords({ fields, effective }: FormView): string | null {
  if (fields === null || fields === 'any') return fields;
  return fields
    .map(({ name, type, min, max, choices = [] }) => {
      const range = (min ?? max) === undefined ? [] : [`${min ?? ''}–${max ?? ''}`];
      return `${name} (${[type, ...range, ...(name === effective.emailField ? ['the sender'] : []), ...choices].join(', ')})`;
    })
    .join('; ');
}

function daysInWords(days: number): string {
  return days === 0 ? 'for ever' : plural(days, 'day');
}

function limitInWords(limit: number): string {
  return limit === 0 ? 'off' : `${limit} an hour`;
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}
