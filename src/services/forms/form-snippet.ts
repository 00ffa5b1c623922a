import type { FormView } from './form-settings.ts';

const known: Readonly<Record<string, { label: string; input: string }>> = {
  name: { label: 'Name', input: '<input name="name" autocomplete="name"' },
  subject: { label: 'Subject', input: '<input name="subject"' },
  email: { label: 'E-mail', input: '<input name="email" type="email" autocomplete="email" required' },
};

/** The HTML to paste into a page. Only a captcha needs script; `/form.js` adds comfort. */
export function formSnippet(publicUrl: string, form: FormView): string {
  const required = new Set(form.requiredFields ?? []);
  const names = ['name', 'email', ...required].filter((name, index, all) => all.indexOf(name) === index);
  const fields = names
    .filter((name) => name !== 'message')
    .map((name) => {
      const { label, input } = known[name] ?? {
        label: escapeMarkup(name),
        input: `<input name="${escapeMarkup(name)}"`,
      };
      return `  <label>${label} ${input}${required.has(name) && name !== 'email' ? ' required' : ''}></label>`;
    });
  const { captcha } = form.effective;
  const proof = captcha === 'altcha' ? ` data-captcha="${publicUrl}/api/captcha?form=${form.slug}"` : '';
  const widget = captcha === 'none' || captcha === 'altcha' ? [] : [`  <!-- here the widget of ${captcha} -->`];
  return [
    `<form method="post" action="${form.address}" data-ruffinweb${proof}>`,
    ...fields,
    '  <label>Message <textarea name="message" rows="5" required></textarea></label>',
    ...widget,
    '  <button>Send message</button>',
    '</form>',
    `<script src="${publicUrl}/form.js" defer></script>`,
  ].join('\n');
}

function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
