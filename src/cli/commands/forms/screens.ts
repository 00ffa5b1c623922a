import type { FormView } from '../../../services/forms/form-settings.ts';
import { type Output, plural } from '../../terminal/output.ts';

export function printForms(output: Output, forms: readonly FormView[]): void {
  const { style } = output;
  output.printTable(forms, [
    { header: 'SLUG', text: (it) => it.slug },
    {
      header: 'STATE',
      text: (it) => it.state,
      style: (text, it) => (it.state === 'open' ? style.good(text) : style.bad(text)),
    },
    { header: 'NAME', text: (it) => it.name ?? '', minWidth: 8, omit: 3 },
    { header: 'RECIPIENTS', text: (it) => it.effective.recipients.join(' '), minWidth: 16, omit: 4 },
    { header: 'REPLY', text: (it) => onOff(it.effective.autoReply), omit: 2 },
    { header: 'CAPTCHA', text: (it) => it.effective.captcha, omit: 1 },
  ]);
}

export function printForm(output: Output, form: FormView): void {
  const { effective } = form;
  const inherited = (own: unknown, variable: string) => (own === null ? ` (from ${variable})` : '');
  output.printDetails([
    ['slug', form.slug, output.style.bold],
    ['name', form.name],
    ['state', form.state, form.state === 'open' ? output.style.good : output.style.bad],
    ['address', form.address],
    ['recipients', `${effective.recipients.join(', ')}${inherited(form.recipients, 'NOTIFY_TO')}`],
    ['auto-reply', `${onOff(effective.autoReply)}${inherited(form.autoReply, 'AUTO_REPLY')}`],
    ['captcha', `${effective.captcha}${inherited(form.captcha, 'CAPTCHA')}`],
    ['redirect', form.redirectUrl ?? 'our thank-you page'],
    ['required', ['email', 'message', ...(form.requiredFields ?? [])].join(', ')],
    ['origins', form.origins?.join(', ') ?? 'from ALLOWED_ORIGINS'],
    ['retention', `${daysInWords(effective.retentionDays)}${inherited(form.retentionDays, 'RETENTION_DAYS')}`],
    ['notify limit', `${limitInWords(effective.notifyLimit)}${form.notifyLimit === null ? ' (the default)' : ''}`],
    ['created', output.timeInFull(form.createdAt)],
    ['closed', form.closedAt && output.timeInFull(form.closedAt)],
    ['id', form.id, output.style.dim],
  ]);
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
